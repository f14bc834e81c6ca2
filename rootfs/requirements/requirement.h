// A requirement as users write it (PEP 508), checked before any tool sees it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace rundlet::rootfs {

// Equal requirements in different spellings give equal values.
struct Requirement {
  std::string name;                 // normalised (PEP 503)
  std::vector<std::string> extras;  // normalised, sorted, each once
  std::string specifier;            // ">=1.0,<2", clauses sorted, no blanks; may be empty
  std::string marker;               // "python_version < '3.12'"; may be empty
  // A wheel or a source that is named itself, not looked for in the index: by one of these.
  std::string url = {};                     // http or https, without its fragment; see ParseGitUrl
  std::string path = {};                    // of the client's host, as they wrote it
  std::optional<base::Digest> sha256 = {};  // of that file: stated, or known since it was opened

  // One line of a requirements file; a wheel by path is named by its content.
  std::string Text() const;
  // Whether it names a source, of which a wheel must be built: an archive by URL, or a commit.
  bool IsSource() const;
  auto operator<=>(const Requirement&) const = default;
};

// `name[extras]specifier; marker`, `name[extras] @ URL; marker` with the URL of a wheel (http,
// https, file), of a source archive (http, https) or of a git repository
// (`git+https://host/path@REVISION`), or the path of a wheel. Throws base::Error (kInvalid) for
// anything else: options ("--index-url=..."), editable projects, other version control, control
// characters.
Requirement ParseRequirement(std::string_view text);

// What a requirement of a git repository asks for.
struct GitRevision {
  std::string url;       // "https://host/path"
  std::string revision;  // a commit, branch or tag; "HEAD" when it says nothing
};
// Nothing for the `url` of another requirement.
std::optional<GitRevision> ParseGitUrl(const std::string& url);

}  // namespace rundlet::rootfs
