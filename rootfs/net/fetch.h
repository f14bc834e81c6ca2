// Downloading wheels into the store.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/error.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/net/network_settings.h"
#include "rootfs/worker_client.h"
#include "store/store.h"

namespace rundlet::rootfs {

// A wheel that shall be in the store, and who is told of its way there.
struct WantedWheel {
  const Distribution* distribution = nullptr;
  std::function<void(const WorkerProgress&)> on_progress = {};  // `item` means nothing
  store::WaitCallback on_wait = {};                             // somebody else fetches it
};

// Puts the wheels that are not there yet into the store: Kind::kWheel, keyed by its sha256, its
// tree the one file under the name of whoever brought it first (WheelFile says it). One worker
// fetches up to 64 of them, over few connections. Size and digest are checked by the worker and
// again here. Answers, wheel by wheel, what went wrong (kHost: network; kInvalid: other bytes than
// locked), naming the wheel and the host; those that arrived stay. The caller holds use leases.
// Throws base::Error for what concerns all of them (a full disk), and Cancelled.
[[nodiscard]] std::vector<std::optional<base::Error>> FetchWheels(
    store::Store& store, WorkerClient& workers, const std::vector<WantedWheel>& wanted,
    const NetworkSettings& network, const base::CancelToken* cancel);
// One; throws what went wrong.
void FetchWheel(store::Store& store, WorkerClient& workers, const Distribution& distribution,
                const NetworkSettings& network, const base::CancelToken* cancel);

// One file that is no entry of the store yet.
struct WantedFile {
  std::string label;     // whose it is, for messages: "docopt 0.6.2"
  std::string filename;  // to be written as
  std::string url;
  uint64_t size = 0;                        // 0: not known
  std::optional<base::Digest> sha256 = {};  // nothing: whatever comes
};
// Downloads it; the staging's tree holds the one file. The digest is checked by the worker and
// again here. Throws as FetchWheel does.
store::Staging FetchFile(store::Store& store, WorkerClient& workers, const WantedFile& wanted,
                         const NetworkSettings& network, const base::CancelToken* cancel);

// Name of the one file in a wheel entry's tree.
std::string WheelFile(const store::EntryInfo& wheel);

}  // namespace rundlet::rootfs
