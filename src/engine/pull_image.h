// `rundlet image pull`: layers from a registry into the store, the interpreter found, the record
// saved.
#pragma once

#include "base/cancel.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "rootfs/image.h"
#include "rootfs/oci.h"
#include "rootfs/reference.h"
#include "rootfs/registry_login.h"

namespace rundlet::engine {

struct PullRequest {
  rootfs::Reference reference;
  rootfs::RegistryTransport transport = rootfs::RegistryTransport::kHttps;
  rootfs::Platform platform = rootfs::HostPlatform();
  rootfs::RegistryLogin login;  // found by whoever asks, with their rights
};

struct Pulled {
  rootfs::Image image;
  rootfs::PullResult result = rootfs::PullResult::kNew;
};

// Throws base::Error; nothing is saved then, layers that arrived whole stay.
Pulled PullImage(Engine& engine, const PullRequest& request, EventBus& events,
                 const base::CancelToken* cancel);

}  // namespace rundlet::engine
