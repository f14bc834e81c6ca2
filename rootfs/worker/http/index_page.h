// A project's page of a package index (simple repository API, PEP 503 and 691): the files it
// offers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace rundlet::rootfs::worker {

// The forms that are understood, the best one first.
constexpr std::string_view kIndexForms =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, "
    "text/html;q=0.1";
constexpr uint64_t kIndexPageLimit = uint64_t{64} << 20;  // bytes
constexpr uint64_t kServedFileLimit = uint64_t{8} << 30;  // of a file that is passed to a sandbox

// A text inside an HTML page, also as an attribute's value.
std::string EscapeHtml(std::string_view text);

bool IsJsonPage(std::string_view page);

struct IndexFile {
  std::string filename;
  std::string url;  // absolute
  base::Digest sha256;
  uint64_t size = 0;                          // 0: not said
  std::string requires_python = {};           // as the page says it; empty: nothing
  std::optional<std::string> yanked = {};     // with the reason, which may be empty
  std::optional<base::Digest> metadata = {};  // sha256 of URL.metadata (PEP 658)
};

// The files of the page that have a sha256; the others are left out, since nothing could be checked
// about them. `page_url` resolves relative references. Throws base::Error (kInvalid) for a page
// that is no index page.
std::vector<IndexFile> ParseIndexJson(std::string_view page, const std::string& page_url);
std::vector<IndexFile> ParseIndexHtml(std::string_view page, const std::string& page_url);

// The same page with each file's address replaced by what `rename` makes of its absolute URL, a
// fragment included; one for which that is empty stays as it is.
using RenameFile = std::function<std::string(const std::string& url)>;
std::string RenameInJson(std::string_view page, const std::string& page_url,
                         const RenameFile& rename);
std::string RenameInHtml(std::string_view page, const std::string& page_url,
                         const RenameFile& rename);

}  // namespace rundlet::rootfs::worker
