// What the store keeps: entries, each a tree of files made once and never changed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/digest.h"

namespace rundlet::store {

// Beside an entry's record (record.h): what it holds.
constexpr char kTree[] = "tree";

enum class Kind { kLayer, kPackage, kLower, kWheel, kTool, kSkeleton, kEnvironment, kBlob };

// "layers", "packages", ...: the folder of the state directory that holds the kind.
std::string_view FolderOf(Kind kind);

struct EntryInfo {
  Kind kind{};
  std::string key;           // 64 hex digits: a digest of what the entry was made from
  std::string name;          // for people: "pandas 2.2.3"
  std::string meta;          // JSON text; what it means is its maker's business; kept byte for byte
  base::Digest output;       // digest of the manifest of what the entry holds
  uint64_t bytes = 0;        // of regular files, a hard-linked one counted once
  uint64_t files = 0;        // regular files
  int64_t created_at = 0;    // seconds since the epoch; Commit fills in the present when it is 0
  int64_t last_used_at = 0;  // seconds since the epoch, true to an hour; Commit sets it
};

// "packages/<key>": the directory that holds an entry's record and its tree, relative to the state
// directory. Throws Error (kInvalid) when the key is not 64 lower-case hex digits.
std::string EntryDir(Kind kind, std::string_view key);

}  // namespace rundlet::store
