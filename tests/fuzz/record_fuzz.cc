// RECORD: refused in words, or rows that are written back as they were read.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "rootfs/formats/wheel_paths.h"
#include "rootfs/formats/wheel_record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rundlet::rootfs;  // NOLINT(build/namespaces): a program of one function
  try {
    const std::vector<RecordRow> rows = ParseRecord({reinterpret_cast<const char*>(data), size});
    const std::string text = FormatRecord(rows);
    if (FormatRecord(ParseRecord(text)) != text) std::abort();
    if (ParseRecord(text).size() != rows.size()) std::abort();
    for (const RecordRow& row : rows) {
      const std::string path = PathOfRecord({"a-1.dist-info", "a-1.data", "a", "3.11"}, row.path);
      if (path.starts_with('/') || path.starts_with("../") || path.find("/../") != path.npos) {
        std::abort();
      }
    }
  } catch (const rundlet::base::Error&) {
  }
  return 0;
}
