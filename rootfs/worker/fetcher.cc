// rundlet-fetcher: the commands that use the network.
#include <array>

#include "rootfs/worker/program.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr std::array kCommands = {
    Command{"fetch", Fetch},          Command{"find-in-index", FindInIndex},
    Command{"proxy", Proxy},          Command{"mirror", ServeMirror},
    Command{"index-gate", IndexGate}, Command{"registry-get", RegistryGet},
};

}  // namespace
}  // namespace rundlet::rootfs::worker

int main(int argc, char** argv) {
  return rundlet::rootfs::worker::RunCommand(argc, argv, rundlet::rootfs::worker::kCommands);
}
