#include "engine/images/pull_image.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "engine/core/network.h"
#include "engine/images/layer_events.h"
#include "engine/images/prober.h"
#include "rootfs/images/registry.h"

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

rootfs::PulledImage PullFrom(Engine& engine, const PullRequest& request, const PullSource& source,
                             EventBus& events, const base::CancelToken* cancel) {
  rootfs::RegistryAccess access;
  access.image = request.name;
  access.reference = source.reference;
  access.transport = source.transport;
  access.login = source.login;
  const Network network(engine.config(), rootfs::RegistryUrl(access));
  access.network = network.settings();
  const rootfs::PullWish wish{request.platform, rootfs::TryFindImage(engine.store(), request.name),
                              request.keep};
  return rootfs::PullImage(engine.store(), engine.workers(), access, wish,
                           LayerEvents(events, "pull"), cancel);
}

rootfs::PulledImage PullFromFirst(Engine& engine, const PullRequest& request, EventBus& events,
                                  const base::CancelToken* cancel) {
  for (auto source = request.sources.begin();; ++source) {
    try {
      return PullFrom(engine, request, *source, events, cancel);
    } catch (const base::Cancelled&) {
      throw;
    } catch (const base::Error& error) {
      // Whoever sends other bytes than the digest says is not passed over in silence.
      if (error.fault() != base::Fault::kHost || source + 1 == request.sources.end()) throw;
      events.Send({.kind = EventKind::kNote,
                   .task = "pull",
                   .text = fmt::format("mirror `{}` is passed over: {}", source->reference.registry,
                                       error.chain().back())});
    }
  }
}

}  // namespace

std::vector<PullSource> SourcesOf(const Config& config, const rootfs::Reference& reference,
                                  rootfs::RegistryTransport transport) {
  std::vector<PullSource> sources;
  for (const rootfs::RegistryMirror& mirror : config.mirrors) {
    if (mirror.registry != reference.registry) continue;
    sources.push_back({rootfs::AtMirror(reference, mirror), mirror.transport});
  }
  sources.push_back({reference, transport});
  return sources;
}

Pulled PullImage(Engine& engine, const PullRequest& request, EventBus& events,
                 const base::CancelToken* cancel) {
  RequireNetwork(engine.config(), fmt::format("pulling `{}`", request.name));
  rootfs::PulledImage pulled = PullFromFirst(engine, request, events, cancel);
  rootfs::Image& image = pulled.imported.image;
  if (pulled.result == rootfs::PullResult::kNew) {
    image.interpreter = InterpreterOf(engine, image, events, cancel);
    rootfs::SaveImage(engine.store(), image);
  }
  return {image, pulled.result};
}

}  // namespace rundlet::engine
