// Having an image's documents read by workers, and their answers checked.
#pragma once

#include <string>
#include <vector>

#include "base/cancel.h"
#include "rootfs/formats/oci.h"
#include "rootfs/formats/oci_document.h"
#include "rootfs/images/layer.h"
#include "rootfs/worker_client.h"

namespace rundlet::rootfs {

// Reads documents of one image. Borrows worker and token. All functions throw base::Error (kInvalid
// when the document is not what its descriptor says, or not valid).
class DocumentReader {
 public:
  DocumentReader(WorkerClient& worker, const base::CancelToken* cancel)
      : worker_(worker), cancel_(cancel) {}

  // Without a descriptor nothing vouches for the bytes: the first document of a layout.
  ManifestOrIndex ReadTopIndex(const FileRange& file);
  ManifestOrIndex ReadManifest(const FileRange& file, const Descriptor& descriptor);
  ConfigDocument ReadConfig(const FileRange& file, const Descriptor& descriptor);

  // Docker's archives. `digest` is what the document hashes to.
  std::vector<DockerImage> ReadDockerManifest(const FileRange& file);
  ConfigDocument ReadDockerConfig(const FileRange& file, base::Digest& digest);
  std::vector<LegacyTop> ReadRepositories(const FileRange& file);
  LegacyLayer ReadLegacyLayer(const FileRange& file, base::Digest& digest);
  base::Digest ReadDiffId(const FileRange& file);

 private:
  nlohmann::json Ask(const FileRange& file, const char* kind, const Descriptor* descriptor);

  WorkerClient& worker_;
  const base::CancelToken* cancel_;
};

}  // namespace rundlet::rootfs
