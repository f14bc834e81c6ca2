// What a sandbox says to the gate before the package indexes, and a netrc file.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "rootfs/formats/index_access.h"
#include "rootfs/formats/index_gate.h"
#include "rootfs/worker/servers/connection.h"
#include "rootfs/worker/servers/gate_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rundlet::rootfs;          // NOLINT(build/namespaces): a program of one function
  using namespace rundlet::rootfs::worker;  // NOLINT(build/namespaces): a program of one function
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const rundlet::base::Digest key = rundlet::base::Digest::Of("key");
  const std::vector<GatedIndex> indexes = {{std::string(32, 'a'), "https://index.example/simple"}};
  if (const auto length = HeadLength(text)) {
    const GateRequest request = ReadGateRequest(text.substr(0, *length));
    if (request.range.has_value() && request.range->first > request.range->last) std::abort();
    const auto target = ReadGatePath(request.path, key, indexes);
    // Nobody who does not have the key can name a file.
    if (target.has_value() &&
        (!target->page || !target->url.starts_with("https://index.example/simple/")))
      std::abort();
  }
  WithoutGate(text, indexes);
  try {
    LoginIn(text, "index.example");
  } catch (const rundlet::base::Error&) {
  }
  return 0;
}
