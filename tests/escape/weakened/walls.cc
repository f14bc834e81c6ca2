// What rundlet-weak and the two weak workers leave out: told by a text that the tests write into a
// copy of the program, ",NAME," for each. A worker sees no file and no variable of its caller's.
#include "base/walls.h"

#include <string>
#include <string_view>

namespace rundlet::base {
namespace {

constexpr size_t kMark = sizeof "rundlet without walls:" - 1;
// Not a constant to the compiler: its text is another one when it runs.
volatile char left_out[1024] = "rundlet without walls:";

std::string_view NameOf(Wall wall) {
  switch (wall) {
    case Wall::kNoLinks:
      return "no links";
    case Wall::kStreams:
      return "streams";
    case Wall::kVariables:
      return "variables";
    case Wall::kOutDirectory:
      return "output directory";
    case Wall::kResultSize:
      return "result's size";
    case Wall::kResultDepth:
      return "result's depth";
    case Wall::kResultFile:
      return "result's file";
    case Wall::kPreview:
      return "preview";
    case Wall::kLog:
      return "log";
    case Wall::kForeignMemory:
      return "foreign memory";
    case Wall::kForeignTime:
      return "foreign time";
    case Wall::kUvCache:
      return "uv's cache";
    case Wall::kBytecode:
      return "bytecode";
    case Wall::kMounts:
      return "mounts";
    case Wall::kRealms:
      return "realms";
    case Wall::kDocumentAnswer:
      return "document's answer";
    case Wall::kImportedBytes:
      return "imported bytes";
    case Wall::kLayerBytes:
      return "layer's bytes";
    case Wall::kIndexLevels:
      return "index's levels";
    case Wall::kIndexManifests:
      return "index's manifests";
    case Wall::kKeptBytes:
      return "kept bytes";
    case Wall::kArrivedBytes:
      return "arrived bytes";
    case Wall::kLeases:
      return "leases";
    case Wall::kSetBytes:
      return "set's bytes";
    case Wall::kVerifiedBytes:
      return "verified bytes";
    case Wall::kDiskBytes:
      return "disk's bytes";
    case Wall::kCheckout:
      return "no checkout";
    case Wall::kGitProtocols:
      return "git's protocols";
    case Wall::kCommit:
      return "commit";
    case Wall::kStateOwner:
      return "state's owner";
    case Wall::kWorkerMemory:
      return "worker's memory";
    case Wall::kWorkerTime:
      return "worker's time";
    case Wall::kInnerAddresses:
      return "inner addresses";
    case Wall::kAllowedHosts:
      return "allowed hosts";
    case Wall::kServerName:
      return "server's name";
    case Wall::kFetchedBytes:
      return "fetched bytes";
    case Wall::kLoginOrigin:
      return "login's origin";
    case Wall::kTokenOrigin:
      return "token's origin";
    case Wall::kStaysHttps:
      return "stays https";
    case Wall::kMirroredBytes:
      return "mirrored bytes";
    case Wall::kNames:
      return "names";
    case Wall::kBeneath:
      return "beneath";
    case Wall::kDocumentBytes:
      return "document's bytes";
    case Wall::kRegistryBytes:
      return "registry's bytes";
    case Wall::kSeal:
      return "seal";
    case Wall::kModes:
      return "modes";
    case Wall::kAttributes:
      return "attributes";
    case Wall::kBudgets:
      return "budgets";
    case Wall::kRatio:
      return "ratio";
    case Wall::kWheelRatio:
      return "wheel's ratio";
    case Wall::kRecord:
      return "record";
    case Wall::kCount:
      break;
  }
  return "";
}

// Once: a program's text does not change while it runs.
const std::string& LeftOut() {
  static const std::string text = [] {
    std::string read;
    for (size_t i = kMark; i < sizeof left_out && left_out[i] != 0; ++i) read += left_out[i];
    return read;
  }();
  return text;
}

}  // namespace

bool Holds(Wall wall) {
  return LeftOut().find("," + std::string(NameOf(wall)) + ",") == std::string::npos;
}

}  // namespace rundlet::base
