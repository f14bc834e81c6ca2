// A project's page of a package index (simple repository API, PEP 503 and 691): the files it
// offers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace rundlet::rootfs::worker {

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

}  // namespace rundlet::rootfs::worker
