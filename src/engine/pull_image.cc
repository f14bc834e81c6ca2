#include "engine/pull_image.h"

#include <algorithm>
#include <utility>

#include "engine/interpreter.h"
#include "engine/layer_events.h"
#include "engine/network.h"
#include "rootfs/registry.h"

namespace rundlet::engine {
namespace {

// The interpreter is in the layers: an image of the same ones has the same.
rootfs::Interpreter InterpreterOf(Engine& engine, const rootfs::Image& image, EventBus& events,
                                  const base::CancelToken* cancel) {
  for (const rootfs::Image& other : rootfs::ListImages(engine.store())) {
    if (other.layers == image.layers && other.config == image.config &&
        !other.interpreter.executable.empty()) {
      return other.interpreter;
    }
  }
  rootfs::Interpreter interpreter;
  Report(events, "python", "probe",
         [&](Event&) { interpreter = ProbeInterpreter(engine, image, cancel); });
  return interpreter;
}

}  // namespace

Pulled PullImage(Engine& engine, const PullRequest& request, EventBus& events,
                 const base::CancelToken* cancel) {
  rootfs::RegistryAccess access;
  access.reference = request.reference;
  access.transport = request.transport;
  access.login = request.login;
  const Network network(engine.config(), rootfs::RegistryUrl(access));
  access.network = network.settings();
  const std::optional<rootfs::Image> known =
      rootfs::TryFindImage(engine.store(), rootfs::ShortName(request.reference));
  rootfs::PulledImage pulled =
      rootfs::PullImage(engine.store(), engine.workers(), access, request.platform, known,
                        LayerEvents(events, "pull"), cancel);
  rootfs::Image& image = pulled.imported.image;
  if (pulled.result == rootfs::PullResult::kNew) {
    image.interpreter = InterpreterOf(engine, image, events, cancel);
    rootfs::SaveImage(engine.store(), image);
  }
  return {image, pulled.result};
}

}  // namespace rundlet::engine
