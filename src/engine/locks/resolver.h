// Requirements to a lock: from the locks kept in the state directory, or by uv in a sandbox of the
// image. What uv is told and answers: rootfs/requirements/resolver_protocol.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "engine/locks/requirements.h"
#include "rootfs/images/image.h"
#include "rootfs/requirements/lock.h"

namespace rundlet::engine {

enum class Freshness {
  kKept,     // a kept lock is used however old it is; `plan` shows its age
  kUpgrade,  // resolve again
};

struct Resolution {
  rootfs::Lock lock;
  bool cached = false;
};

// Equal requirements share a lock: their order, repetition and spelling do not matter, and a wheel
// that was given as a file counts by its content. `label` says for whom, in errors and events
// ("step `delays`"). What a lock warns of is noted every time. Throws base::Error, Cancelled.
Resolution Resolve(Engine& engine, const rootfs::Image& image, const Requirements& requirements,
                   Freshness freshness, const std::string& label, EventBus& events,
                   const base::CancelToken* cancel);

// All locks that are kept. One that cannot be read is left out.
std::vector<rootfs::Lock> ListLocks(Engine& engine);

// The lock of an engine environment: the requirements file `name` that ships with rundlet, every
// wheel of which must have a hash listed there. Throws base::Error (kInvalid) when the index offers
// other bytes.
Resolution ResolveShipped(Engine& engine, const rootfs::Image& image, const std::string& name,
                          EventBus& events, const base::CancelToken* cancel);

}  // namespace rundlet::engine
