// METADATA, WHEEL and entry_points.txt: refused in words, or values that cannot do harm in a script
// or a path.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/formats/wheel_entry_points.h"
#include "rootfs/formats/wheel_metadata.h"
#include "tests/fuzz/check.h"

namespace {

using namespace rundlet::rootfs;  // NOLINT(build/namespaces): a program of one function
using rundlet::fuzz::Require;
using rundlet::fuzz::Try;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Try([&] { Require(IsProjectName(ParseMetadata(text).name)); });
  Try([&] { ParseWheelFormat(text); });
  Try([&] {
    for (const EntryPointScript& script : ParseEntryPoints(text)) {
      Require(script.name.find('/') == std::string::npos && !script.name.starts_with('.'));
      const std::string source = script.module + script.attribute;
      Require(source.find_first_of(" \t\n\r;()'\"\\#") == std::string::npos);
      Require(ScriptText(script, "/p").starts_with("#!/p\n"));
    }
  });
  return 0;
}
