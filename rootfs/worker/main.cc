// rundlet-worker: the commands that parse outside bytes, without any network.
#include <array>

#include "rootfs/worker/program.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr std::array kCommands = {
    Command{"unpack-layer", UnpackLayer, kForArchives},
    Command{"split-archive", SplitArchive, kForArchives},
    Command{"read-image", ReadImage, kForArchives},  // a layer's digest, too
    Command{"install-wheel", InstallWheel, kForArchives},
    Command{"parse-toml", ParseToml, kForDocuments},
    Command{"list-libraries", ListLibraries, kForDocuments},
};

}  // namespace
}  // namespace rundlet::rootfs::worker

int main(int argc, char** argv) {
  return rundlet::rootfs::worker::RunCommand(argc, argv, rundlet::rootfs::worker::kCommands);
}
