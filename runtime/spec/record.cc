#include "runtime/spec/record.h"

namespace rundlet::runtime {

const char* NameOf(Stage stage) {
  switch (stage) {
    case Stage::kReceived:
      return "receiving the request";
    case Stage::kMounts:
      return "making its mounts";
    case Stage::kNetwork:
      return "setting up its network";
    case Stage::kGroups:
      return "joining its control groups";
    case Stage::kCloned:
      return "cloning its first process";
    case Stage::kIdMap:
      return "mapping its user ids";
    case Stage::kIdentity:
      return "becoming root of its user namespace";
    case Stage::kRoot:
      return "attaching its root";
    case Stage::kTargets:
      return "mounting below its root";
    case Stage::kEntered:
      return "entering its root";
    case Stage::kLimits:
      return "setting its session and limits";
    case Stage::kTerminal:
      return "opening its terminal";
    case Stage::kRestricted:
      return "restricting where it may write";
    case Stage::kConfined:
      return "filtering its system calls";
    case Stage::kInit:
      return "starting its init";
    case Stage::kPrivileges:
      return "giving up privileges";
    case Stage::kDirectory:
      return "entering the working directory";
    case Stage::kExec:
      return "starting the program";
    case Stage::kCount:
      break;
  }
  return "an unknown stage";
}

}  // namespace rundlet::runtime
