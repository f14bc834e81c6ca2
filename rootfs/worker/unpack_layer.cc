#include "rootfs/worker/unpack_layer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/fs.h"
#include "rootfs/layer_path.h"
#include "rootfs/worker/command.h"
#include "rootfs/worker/tar_reader.h"

namespace rundlet::rootfs::worker {

UnpackedLayer UnpackInto(int out, const BlobRange& blob, const BlobLimits& blob_limits,
                         const TreeLimits& tree_limits, BlobReader::Progress progress) {
  BlobReader source(blob, blob_limits, Digesting::kYes, std::move(progress));
  TarReader reader(source);
  TreeWriter writer(out, tree_limits);
  while (const std::optional<TarEntry> entry = reader.Next()) writer.Add(*entry, reader);
  UnpackedLayer unpacked;
  unpacked.totals = source.Finish();
  unpacked.compression = source.compression();
  unpacked.tree = writer.Finish();
  return unpacked;
}

nlohmann::json UnpackLayerTo(int out, int file, const nlohmann::json& request) {
  const BlobRange blob{file, request.at("offset"), request.at("size")};
  const uint64_t item = request.at("item");
  const UnpackedLayer unpacked = UnpackInto(
      out, blob, {}, {}, [&](uint64_t consumed) { ReportProgress(item, consumed, blob.size); });
  nlohmann::json opaque = nlohmann::json::array();
  for (const std::string& path : unpacked.tree.opaque) opaque.push_back(EncodePath(path));
  return {{"compression", NameOf(unpacked.compression)},
          {"blob", unpacked.totals.blob.hex()},
          {"diff_id", unpacked.totals.contents.hex()},
          {"entries", unpacked.tree.entries},
          {"bytes", unpacked.tree.bytes},
          {"dropped_specials", unpacked.tree.dropped_specials},
          {"dropped_xattrs", unpacked.tree.dropped_xattrs},
          {"stripped_setuid", unpacked.tree.stripped_setuid},
          {"opaque", opaque}};
}

nlohmann::json UnpackLayer(const nlohmann::json& request) {
  const base::UniqueFd out = base::OpenHostPath("/out", O_RDONLY | O_DIRECTORY);
  return UnpackLayerTo(out.get(), kFirstFile, request);
}

}  // namespace rundlet::rootfs::worker
