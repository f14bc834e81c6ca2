#include "engine/sandbox/image_sandbox.h"

#include <unistd.h>

#include "base/error.h"
#include "base/walls.h"
#include "rootfs/images/skeleton.h"

namespace rundlet::engine {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr const char* kHome = "/tmp/home";

// The environment's programs come before the image's.
void SetPrograms(runtime::SandboxSpec& spec, const std::string& directories) {
  for (auto& [name, value] : spec.environment) {
    if (name == "PATH") value = directories + ":" + value;
  }
  SetVariable(spec, "VIRTUAL_ENV", "/env");
}

// From "NAME=value".
void SetFrom(const std::string& variable, runtime::SandboxSpec& spec) {
  const size_t equals = variable.find('=');
  if (equals != std::string::npos && equals > 0)
    SetVariable(spec, variable.substr(0, equals), variable.substr(equals + 1));
}

}  // namespace

ImageSandbox::ImageSandbox(Engine& engine, const rootfs::Image& image)
    : config_(engine.config()), image_(image), skeleton_(rootfs::EnsureSkeleton(engine.store())) {
  for (const base::Digest& layer : image.layers) {
    leases_.push_back(engine.store().Use(store::Kind::kLayer, layer.hex()));
  }
}

runtime::SandboxSpec ImageSandbox::Spec(runtime::ProcView proc) const {
  runtime::SandboxSpec spec;
  spec.mounts.mounts = rootfs::ImageMounts(image_, skeleton_.key, proc);
  spec.mounts.mounts.push_back({kHome, runtime::Scratch{.mode = 0777}});
  spec.ids = config_.ids;
  if (!base::Holds(base::Wall::kVariables)) {
    for (char** variable = environ; *variable != nullptr; ++variable) SetFrom(*variable, spec);
  }
  SetVariable(spec, "PATH", kDefaultPath);
  for (const std::string& variable : image_.config.env) SetFrom(variable, spec);
  SetVariable(spec, "HOME", kHome);
  SetVariable(spec, "LANG", "C.UTF-8");
  return spec;
}

void SetVariable(runtime::SandboxSpec& spec, const std::string& name, std::string value) {
  for (auto& [key, old] : spec.environment) {
    if (key != name) continue;
    old = std::move(value);
    return;
  }
  spec.environment.emplace_back(name, std::move(value));
}

void UseEnvironment(runtime::SandboxSpec& spec, runtime::Mount environment) {
  spec.mounts.mounts.push_back(std::move(environment));
  SetPrograms(spec, "/env/bin");
}

void UseEnvironment(runtime::SandboxSpec& spec, rootfs::BoundEnvironment environment) {
  for (runtime::Mount& mount : environment.mounts) spec.mounts.mounts.push_back(std::move(mount));
  SetPrograms(spec, environment.programs);
  SetVariable(spec, "PYTHONPATH", std::move(environment.modules));
}

}  // namespace rundlet::engine
