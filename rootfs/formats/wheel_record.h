// RECORD: the list of a distribution's files with hash and size, as CSV ("recording installed
// projects").
//
// One strict parser serves wheels (outside bytes, in a worker) and package entries (the RECORD
// rundlet wrote itself).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace rundlet::rootfs {

struct RecordRow {
  std::string path;  // relative to site-packages; may begin with "../" in an installed RECORD
  std::optional<base::Digest> sha256;  // absent for RECORD itself
  std::optional<uint64_t> size;
  bool operator==(const RecordRow&) const = default;
};

// Accepts UTF-8 text without NUL, lines ended by LF or CRLF, three fields a line, quoting as in RFC
// 4180; the only hash is sha256 (urlsafe base64 without padding). At most 500,000 rows. Throws
// base::Error (kInvalid) naming the line.
std::vector<RecordRow> ParseRecord(std::string_view text);

// The rows sorted by path, LF-ended, fields quoted only where needed: equal rows give equal bytes.
std::string FormatRecord(std::vector<RecordRow> rows);

// "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU": 43 characters.
std::string Base64Of(const base::Digest& digest);
std::optional<base::Digest> DigestOfBase64(std::string_view text);

}  // namespace rundlet::rootfs
