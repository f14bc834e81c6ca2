// rundlet-worker: the commands that parse outside bytes, without any network.
#include <array>

#include "rootfs/worker/program.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr std::array kCommands = {
    Command{"unpack-layer", UnpackLayer},     Command{"split-archive", SplitArchive},
    Command{"read-image", ReadImage},         Command{"hash-tree", HashTree},
    Command{"install-wheel", InstallWheel},   Command{"parse-toml", ParseToml},
    Command{"list-libraries", ListLibraries},
};

}  // namespace
}  // namespace rundlet::rootfs::worker

int main(int argc, char** argv) {
  return rundlet::rootfs::worker::RunCommand(argc, argv, rundlet::rootfs::worker::kCommands);
}
