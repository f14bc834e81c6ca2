// The sandbox of a program in an image: root, user, environment variables; what every kind of run
// starts from.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/core/engine.h"
#include "rootfs/images/image.h"
#include "rootfs/images/skeleton.h"
#include "rootfs/packages/environment.h"
#include "runtime/spec/sandbox_spec.h"
#include "store/lease.h"

namespace rundlet::engine {

// Holds the image's layers in the store while it lives.
class ImageSandbox {
 public:
  ImageSandbox(Engine& engine, const rootfs::Image& image);

  // A spec without a command: the image's root with a writable layer, /proc of its own processes,
  // /dev, /tmp, a home in /tmp, user 1000, no network, and environment variables built from nothing
  // and the image's configuration.
  runtime::SandboxSpec Spec(runtime::ProcView proc = runtime::ProcView::kOwnProcesses) const;
  const rootfs::Image& image() const { return image_; }

 private:
  const Config& config_;
  const rootfs::Image image_;
  rootfs::HeldSkeleton skeleton_;
  std::vector<store::Lease> leases_;
};

// Mounts an environment at /env and puts its programs first on PATH.
void UseEnvironment(runtime::SandboxSpec& spec, runtime::Mount environment);
// The same of its directories one by one, with their modules on PYTHONPATH.
void UseEnvironment(runtime::SandboxSpec& spec, rootfs::BoundEnvironment environment);

// Sets or replaces a variable of a spec's environment.
void SetVariable(runtime::SandboxSpec& spec, const std::string& name, std::string value);

}  // namespace rundlet::engine
