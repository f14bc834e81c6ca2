#include "rootfs/worker/archives/unpack_layer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "rootfs/formats/layer_path.h"
#include "rootfs/worker/archives/tar_reader.h"
#include "rootfs/worker/command.h"

namespace rundlet::rootfs::worker {

namespace {

base::Error Altered(const base::Digest& found, const base::Digest& wanted) {
  return base::Error(base::Fault::kInvalid, "checking the layer")
      .Because(fmt::format("it was altered: its digest is `sha256:{}`, not `sha256:{}`",
                           found.hex(), wanted.hex()));
}

// Why a layer in a file cannot be unpacked, when it is that somebody altered it: that is told
// rather than what the altered bytes look like. A layer of a pipe is checked by whoever writes into
// it.
void CheckBytes(const BlobRange& blob, const nlohmann::json& request) {
  BlobReader bytes(blob, {}, Digesting::kBoth);
  const std::optional<base::Digest> wanted =
      base::Digest::Parse(request.at("blob").get<std::string>());
  const std::optional<base::Digest> contents =
      base::Digest::Parse(request.at("diff_id").get<std::string>());
  const base::Digest found = bytes.FinishBlob();
  if (wanted && found != *wanted) throw Altered(found, *wanted);
  // Uncompressed, the bytes are the contents.
  if (!wanted && contents && bytes.compression() == Compression::kNone && found != *contents) {
    throw Altered(found, *contents);
  }
}

}  // namespace

UnpackedLayer UnpackInto(int out, const BlobRange& blob, const BlobLimits& blob_limits,
                         const TreeLimits& tree_limits, BlobReader::Progress progress) {
  const Digesting digesting =
      blob.of == BlobRange::Of::kFile ? Digesting::kBoth : Digesting::kContents;
  BlobReader source(blob, blob_limits, digesting, std::move(progress));
  TarReader reader(source);
  TreeWriter writer(out, tree_limits);
  while (const std::optional<TarEntry> entry = reader.Next()) writer.Add(*entry, reader);
  UnpackedLayer unpacked;
  unpacked.totals = source.Finish();
  unpacked.compression = source.compression();
  unpacked.tree = writer.Finish();
  return unpacked;
}

nlohmann::json UnpackLayerTo(int out, int file, int turn, const nlohmann::json& request) {
  const auto of = request.at("pipe").get<bool>() ? BlobRange::Of::kPipe : BlobRange::Of::kFile;
  const BlobRange blob{file, request.at("offset"), request.at("size"), of};
  const uint64_t item = request.at("item");
  UnpackedLayer unpacked;
  try {
    unpacked = UnpackInto(out, blob, {.turn = turn}, {},
                          [&](uint64_t consumed) { ReportProgress(item, consumed, blob.size); });
  } catch (const base::Error& error) {
    if (error.fault() == base::Fault::kInvalid && of == BlobRange::Of::kFile) {
      CheckBytes(blob, request);
    }
    throw;
  }
  nlohmann::json opaque = nlohmann::json::array();
  for (const std::string& path : unpacked.tree.opaque) opaque.push_back(EncodePath(path));
  return {{"compression", NameOf(unpacked.compression)},
          {"blob", of == BlobRange::Of::kFile ? unpacked.totals.blob.hex() : ""},
          {"diff_id", unpacked.totals.contents.hex()},
          {"entries", unpacked.tree.entries},
          {"bytes", unpacked.tree.bytes},
          {"dropped_specials", unpacked.tree.dropped_specials},
          {"dropped_xattrs", unpacked.tree.dropped_xattrs},
          {"stripped_setuid", unpacked.tree.stripped_setuid},
          {"foreign_owners", unpacked.tree.foreign_owners},
          {"opaque", opaque}};
}

nlohmann::json UnpackLayer(const nlohmann::json& request) {
  const base::UniqueFd out = base::OpenHostPath("/out", O_RDONLY | O_DIRECTORY);
  return UnpackLayerTo(out.get(), kFirstFile, kFirstFile + 1, request);
}

}  // namespace rundlet::rootfs::worker
