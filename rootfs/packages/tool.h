// Tools rundlet itself runs, pinned by hash and kept in the store.
#pragma once

#include <string>

#include "base/cancel.h"
#include "rootfs/net/fetch.h"
#include "rootfs/worker_client.h"
#include "store/store.h"

namespace rundlet::rootfs {

// The resolver: the version and the digests of its wheels are constants of this program (tool.cc),
// so an index can only offer exactly these bytes. The entry (Kind::kTool) is a prefix with bin/uv.
// Asks the package index only when the entry is not there. Throws base::Error (kHost) when the
// index cannot be reached or does not offer the file.
store::EntryInfo EnsureUv(store::Store& store, WorkerClient& workers, const std::string& index,
                          const NetworkSettings& network, const base::CancelToken* cancel);

// The key of its entry.
std::string UvKey();

}  // namespace rundlet::rootfs
