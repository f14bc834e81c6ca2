// The addresses under which the resolver sees package indexes: all of them on one host of its own
// loopback, where a worker answers (worker/index_gate.cc).
//
//   http://127.0.0.1:3128/INDEX/simple/PROJECT/            a page of an index
//   http://127.0.0.1:3128/INDEX/file/SEAL/https/HOST/PATH  a file that such a page named
//
// The seal says that a page which the worker has read named that file for that index, now or in an
// earlier run: what else a program in the resolver's sandbox would like to fetch has none.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace rundlet::rootfs {

struct GatedIndex {
  std::string id;   // the first part of its paths: digits and letters
  std::string url;  // what it stands for
};

// Of an index that IndexId told from others.
std::string GateId(const base::Digest& index_id);

// "http://127.0.0.1:3128/INDEX/simple"
std::string GateIndexUrl(const std::string& id);
// For a file's absolute URL; what follows a "#" is kept as it is. Empty for what is no http or
// https URL.
std::string GateFileUrl(const base::Digest& key, const std::string& id, std::string_view url);

// What a path of a request asks for.
struct GateTarget {
  size_t index = 0;  // of the list
  std::string url;   // of the page or file
  bool page = false;
};
// Nothing for a path that is neither, and for a seal that is not ours.
std::optional<GateTarget> ReadGatePath(std::string_view path, const base::Digest& key,
                                       const std::vector<GatedIndex>& indexes);

// A text of the resolver's with each such address replaced by what it stands for.
std::string WithoutGate(std::string_view text, const std::vector<GatedIndex>& indexes);

}  // namespace rundlet::rootfs
