#include "engine/core/engine.h"

#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/packages/bytecode.h"

namespace rundlet::engine {
namespace {

std::unique_ptr<store::Store> OpenStore(const Config& config) {
  if (geteuid() != 0) {
    throw base::Error(base::Fault::kHost, "starting rundlet for an ordinary user")
        .Because(
            "no daemon is running, and sandboxes of your own need a kernel interface that is not "
            "used yet")
        .Hint("run it as root, for instance with sudo");
  }
  return store::Store::Open(config.state_dir);
}

// A lease is an open file, and a package has several while it is installed. Sandboxes have limits
// of their own.
Config WithOpenFiles(Config config) {
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  return config;
}

}  // namespace

Engine::Engine(Config config)
    : config_(WithOpenFiles(std::move(config))),
      installation_(FindInstallation()),
      store_(OpenStore(config_)),
      launcher_(installation_.launcher, store_->dir()),
      workers_(config_, installation_, launcher_),
      bytecode_(std::make_unique<BytecodeQueue>(*this)) {}

Engine::~Engine() = default;

}  // namespace rundlet::engine
