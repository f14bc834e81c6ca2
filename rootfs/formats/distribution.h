// A distribution: one wheel, exactly known. Names and versions in the spellings of the packaging
// specifications.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"

namespace rundlet::rootfs {

// Who may use what came from an index that was asked with credentials: whoever presents them.
struct Realm {
  std::string index;    // its URL
  base::Digest digest;  // over the index and the credentials; says neither (RealmOf)
  bool operator==(const Realm&) const = default;
};

// Where the source of a wheel that is built here comes from.
struct Source {
  enum class Kind {
    kIndex,  // an archive that an index offers for the release
    kUrl,    // an archive that a requirement names itself
    kGit,    // a commit of a repository
  };
  Kind kind = Kind::kIndex;
  std::string filename;     // "docopt-0.6.2.tar.gz"
  std::string url;          // of the archive, or of the repository, by https
  std::string commit = {};  // kGit: 40 hex digits
  uint64_t size = 0;        // bytes; 0 when nobody said
  base::Digest sha256;      // of the archive; kGit: of the commit's tree as one
  bool operator==(const Source&) const = default;
};

// One locked wheel. A value; whoever builds one from outside bytes calls CheckDistribution.
struct Distribution {
  std::string name;      // normalised (PEP 503): "python-dateutil"
  std::string version;   // as the lock has it: "2.9.0.post0"
  std::string filename;  // "python_dateutil-2.9.0.post0-py2.py3-none-any.whl"
  std::string url;       // http or https, without credentials; empty: given as a file, or built
  uint64_t size = 0;     // bytes; 0 when the index does not say
  base::Digest sha256;   // of the wheel file
  std::optional<Realm> realm = {};    // of the index it came from; nothing: anybody may use it
  std::optional<Source> source = {};  // of a wheel that was built; nothing: it was fetched

  std::string Label() const { return name + " " + version; }
  // The key of its wheel's entry. Within a realm nobody else finds it, whatever digests they name.
  std::string WheelKey() const;
  bool operator==(const Distribution&) const = default;
};

// Refuses a distribution whose fields do not agree with each other or could not be a file name or a
// URL we fetch. Throws base::Error (kInvalid).
void CheckDistribution(const Distribution& distribution);

// The name of a source archive that goes into a path: ".tar.gz", ".tar" (of a commit) or ".zip".
bool IsArchiveName(std::string_view name);

// The full name of a commit.
bool IsCommit(std::string_view text);

// An http or https URL without credentials and without characters that need quoting.
bool IsFetchableUrl(std::string_view url);

// PEP 503: lower case, runs of "-", "_" and "." become one "-".
std::string NormaliseName(std::string_view name);
// PEP 508: letters, digits, ".", "_", "-"; begins and ends with a letter or digit; at most 128
// characters.
bool IsProjectName(std::string_view name);

// The canonical spelling of a PEP 440 version ("1.0.0-RC1" -> "1.0rc1": trailing zeros dropped
// too), or the text in lower case when it is no such version. For comparing versions, not for
// showing them.
std::string CanonicalVersion(std::string_view version);

}  // namespace rundlet::rootfs
