// `rundlet image pull`: layers from a registry into the store, the interpreter found, the record
// saved.
#pragma once

#include <string>
#include <vector>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "rootfs/formats/oci.h"
#include "rootfs/formats/reference.h"
#include "rootfs/formats/registry_login.h"
#include "rootfs/images/image.h"

namespace rundlet::engine {

// A registry that may have the image.
struct PullSource {
  rootfs::Reference reference;  // what the image is called there
  rootfs::RegistryTransport transport = rootfs::RegistryTransport::kHttps;
  rootfs::RegistryLogin login = {};  // found by whoever asks, with their rights
};

struct PullRequest {
  std::string name;                 // what the image is called here
  std::vector<PullSource> sources;  // the next one is asked when one cannot be reached or lacks it
  rootfs::Platform platform = rootfs::HostPlatform();
  rootfs::KeepBlobs keep = rootfs::KeepBlobs::kNo;
};

// The mirrors that the administrator named for its registry, and the registry itself. Without
// logins.
std::vector<PullSource> SourcesOf(const Config& config, const rootfs::Reference& reference,
                                  rootfs::RegistryTransport transport);

struct Pulled {
  rootfs::Image image;
  rootfs::PullResult result = rootfs::PullResult::kNew;
};

// Throws base::Error; nothing is saved then, layers that arrived whole stay.
Pulled PullImage(Engine& engine, const PullRequest& request, EventBus& events,
                 const base::CancelToken* cancel);

}  // namespace rundlet::engine
