// An entry's record: <folder>/<key>/entry.json, which lies beside the entry's tree and is committed
// with it.
//
// It holds all that the catalog knows, so the catalog can be rebuilt from the records. The time of
// last use is the file's modification time and not part of the text, which never changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/entry.h"

namespace rundlet::store {

constexpr char kRecordFile[] = "entry.json";
constexpr size_t kRecordLimit = size_t{16} << 20;  // bytes; mostly `meta`
constexpr int64_t kLastUseGranularity = 3600;      // seconds

// Throws Error (kInvalid) for texts that are not UTF-8, or too long.
std::string EncodeRecord(const EntryInfo& info);

// Nullopt when the text is not the record of this entry: it was damaged, or another program wrote
// it.
std::optional<EntryInfo> DecodeRecord(Kind kind, std::string_view key, std::string_view text);

}  // namespace rundlet::store
