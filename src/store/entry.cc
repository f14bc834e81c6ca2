#include "store/entry.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::store {

std::string_view FolderOf(Kind kind) {
  switch (kind) {
    case Kind::kLayer:
      return "layers";
    case Kind::kPackage:
      return "packages";
    case Kind::kLower:
      return "lowers";
    case Kind::kWheel:
      return "wheels";
    case Kind::kTool:
      return "tools";
    case Kind::kSkeleton:
      return "skeletons";
    case Kind::kEnvironment:
      return "environments";
    case Kind::kBlob:
      return "blobs";
  }
  base::CheckFailed("a kind of entry", __FILE__, __LINE__);
}

std::string EntryDir(Kind kind, std::string_view key) {
  if (key.size() != 64 || !base::Digest::Parse(key)) {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("looking in `{}` for `{}`", FolderOf(kind), base::Printable(key)))
        .Because("a key is 64 lower-case hex digits");
  }
  return fmt::format("{}/{}", FolderOf(kind), key);
}

}  // namespace rundlet::store
