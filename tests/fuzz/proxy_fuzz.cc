// What a sandbox says to its proxy or mirror: a head that names a host with a port, a page or a
// file; and a TLS hello.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "rootfs/worker/servers/client_hello.h"
#include "rootfs/worker/servers/connect_head.h"
#include "rootfs/worker/servers/connection.h"
#include "rootfs/worker/servers/mirror_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rundlet::rootfs::worker;  // NOLINT(build/namespaces): a program of one function
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto length = HeadLength(text)) {
    const ConnectHead head = ReadConnectHead(text.substr(0, *length));
    const bool served = head.status == 200;
    if (served != rundlet::base::ParseHostPort(head.target.text()).has_value()) std::abort();
    if (served == !head.reason.empty()) std::abort();
    const MirrorRequest request = ReadMirrorRequest(text.substr(0, *length));
    const bool mirrored = request.status == 200;
    if (mirrored == !request.reason.empty()) std::abort();
    if (mirrored != (request.project.empty() != request.file.empty())) std::abort();
  }
  using State = ClientHello::State;
  const ClientHello whole = ReadClientHello({data, size});
  if ((whole.state == State::kNamed) == whole.host.empty()) std::abort();
  if (whole.state == State::kPartial && size >= kMaxClientHello) std::abort();
  // More bytes never change what was decided.
  const ClientHello half = ReadClientHello({data, size / 2});
  if (half.state == State::kNamed && (whole.state != State::kNamed || whole.host != half.host))
    std::abort();
  return 0;
}
