// A spec in which no field has its default value, for tests that must not miss one.
#pragma once

#include "runtime/spec/sandbox_spec.h"

namespace rundlet::runtime {

// The least that can be launched.
inline SandboxSpec MinimalSpec() {
  SandboxSpec spec;
  spec.mounts.mounts = {{"/", Layers{{"layers/a/tree"}}}};
  spec.argv = {"true"};
  return spec;
}

inline SandboxSpec FullSpec() {
  SandboxSpec spec;
  spec.hostname = "step-1.example_x";
  spec.mounts.mounts = {
      {"/", Layers{{"skeletons/s/tree", "layers/b/tree", "layers/a/tree"}, true, true}},
      {"/proc", Proc{ProcView::kFull}},
      {"/dev", Devices{}},
      {"/tmp", Scratch{0700}},
      {"/env", Layers{{"packages/six/tree"}}},
      {"/rundlet/out", StorePath{"runs/1/out", true, true}},
      {"/work", HandedMount{3, true}},
  };
  spec.argv = {"/env/bin/python", "-c", "print('\xc3\xa9\n')"};
  spec.environment = {{"HOME", "/tmp/home"}, {"EMPTY", ""}, {"MULTI", "a=b\nc"}};
  spec.cwd = "/work/a b";
  spec.ids = {3'000'000'000, 1024};
  spec.uid = 7;
  spec.gid = 8;
  spec.network = Network::kHost;
  spec.privilege = Privilege::kUnpacker;
  spec.scratch_bytes = 12'345'678;
  spec.limits = {.memory = 98'765'432, .cpus = 1500, .pids = 77};
  spec.program_by_descriptor = true;
  spec.terminal = {.rows = 50, .columns = 132};
  return spec;
}

// A worker's root: no image.
inline SandboxSpec SkeletonSpec() {
  SandboxSpec spec = MinimalSpec();
  spec.mounts.mounts = {{"/", Skeleton{{"/out", "/etc/ssl"}, {{"/etc/mtab", "/proc/mounts"}}}},
                        {"/out", StorePath{"staging/1/tree", true}},
                        {"/proc", Proc{}}};
  return spec;
}

}  // namespace rundlet::runtime
