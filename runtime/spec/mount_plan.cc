#include "runtime/spec/mount_plan.h"

#include <fmt/format.h>

namespace rundlet::runtime {
namespace {

const char* Access(bool writable) { return writable ? "rw" : "ro"; }

struct Describer {
  std::string operator()(const Layers& layers) const {
    std::string text = fmt::format("overlay{}{}", layers.writable ? " writable" : "",
                                   layers.idmapped ? " idmapped" : "");
    for (const std::string& path : layers.paths) text += "\n    " + path;
    return text;
  }
  std::string operator()(const StorePath& store) const {
    return fmt::format("store {} {}{}", store.path, Access(store.writable),
                       store.idmapped ? " idmapped" : "");
  }
  std::string operator()(const HandedMount& handed) const {
    return fmt::format("handed #{} {}", handed.index, Access(handed.writable));
  }
  std::string operator()(const Scratch& scratch) const {
    return fmt::format("scratch mode {:o}", scratch.mode);
  }
  std::string operator()(const Skeleton& skeleton) const {
    std::string text = "skeleton";
    for (const std::string& directory : skeleton.directories) text += "\n    " + directory + "/";
    for (const auto& [path, target] : skeleton.links) text += "\n    " + path + " -> " + target;
    return text;
  }
  std::string operator()(const Proc& proc) const {
    return proc.view == ProcView::kFull ? "proc" : "proc subset=pid";
  }
  std::string operator()(const Devices&) const { return "devices"; }
};

}  // namespace

std::string Describe(const MountPlan& plan) {
  std::string text;
  for (const Mount& mount : plan.mounts) {
    text += fmt::format("{}: {}\n", mount.target, std::visit(Describer{}, mount.source));
  }
  return text;
}

}  // namespace rundlet::runtime
