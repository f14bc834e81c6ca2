// An image's layers, several at a time.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "rootfs/images/image.h"
#include "rootfs/images/layer.h"
#include "rootfs/worker_client.h"
#include "store/store.h"

namespace rundlet::rootfs {

// Gives each layer its label for people.
void LabelLayers(const std::string& image, std::vector<LayerSource>& sources);

// Has every layer in the store, up to `at_once` in the making at a time (each asks `worker` from a
// thread of its own). Fills in the image's layers, without those that a layer above hides. The
// first failure stops what is in the making. Throws base::Error, base::Cancelled.
ImportedImage EnsureLayers(store::Store& store, WorkerClient& worker,
                           const std::vector<LayerSource>& sources, size_t at_once,
                           const ImportProgressCallback& progress, const base::CancelToken* cancel);

}  // namespace rundlet::rootfs
