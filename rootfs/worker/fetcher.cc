// rundlet-fetcher: the commands that use the network.
#include <array>

#include "rootfs/worker/program.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr std::array kCommands = {
    Command{"fetch", Fetch, kForArchives},
    Command{"find-in-index", FindInIndex, kForDocuments},
    Command{"registry-get", RegistryGet, kForArchives},
    Command{"proxy", Proxy, kForServers},
    Command{"mirror", ServeMirror, kForServers},
    Command{"index-gate", IndexGate, kForServers},
};

}  // namespace
}  // namespace rundlet::rootfs::worker

int main(int argc, char** argv) {
  return rundlet::rootfs::worker::RunCommand(argc, argv, rundlet::rootfs::worker::kCommands);
}
