// Wheels that a requirement names itself, by URL or as a file, instead of leaving the choice to the
// index. They are keyed by their content like every wheel.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/cancel.h"
#include "base/digest.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/net/fetch.h"
#include "rootfs/worker_client.h"
#include "store/store.h"

namespace rundlet::rootfs {

struct NamedWheel {
  Distribution distribution;
  store::Lease lease;  // on the wheel's entry
};

// Puts the wheel into the store and says what it is. `sha256`: what its user expects, if they said
// so. Throws base::Error (kHost: network; kInvalid: other bytes, or no wheel's name); Cancelled.
NamedWheel FetchByUrl(store::Store& store, WorkerClient& workers, const std::string& url,
                      const std::optional<base::Digest>& sha256, const NetworkSettings& network,
                      const base::CancelToken* cancel);

// One that is in the store already.
std::optional<NamedWheel> FindWheel(store::Store& store, const base::Digest& sha256,
                                    const std::optional<Realm>& realm);

// From a file that its user opened with their own rights, at `path` of their host. Throws
// base::Error (kInvalid) when it is no regular file or has no wheel's name; Cancelled.
NamedWheel TakeWheel(store::Store& store, int file, const std::string& path,
                     const std::optional<Realm>& realm, const base::CancelToken* cancel);

}  // namespace rundlet::rootfs
