// PullImage: reference -> manifest -> config -> layers. What comes from the registry is fetched by
// one kind of worker and read by another; here are only checked values.
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "base/error.h"
#include "rootfs/image.h"
#include "rootfs/image_layers.h"
#include "rootfs/image_reading.h"
#include "rootfs/registry.h"

namespace rundlet::rootfs {
namespace {

constexpr int kIndexLevels = 3;
constexpr size_t kStreams = 3;  // layers at once: each is a download and an unpacking

base::Error RefusePull(std::string why) {
  return base::Error(base::Fault::kInvalid, "reading the image").Because(std::move(why));
}

// From the top document down to the manifest for the platform.
std::pair<Descriptor, Manifest> FindPlatform(Registry& registry, DocumentReader& reader,
                                             FetchedDocument top, const Platform& platform,
                                             const base::CancelToken* cancel) {
  FetchedDocument document = std::move(top);
  for (int level = 0;; ++level) {
    const ManifestOrIndex contents = reader.ReadManifest(document.range(), document.descriptor);
    if (const Manifest* manifest = std::get_if<Manifest>(&contents)) {
      return {document.descriptor, *manifest};
    }
    if (level == kIndexLevels) {
      throw RefusePull(fmt::format("its indexes are nested deeper than {}", kIndexLevels));
    }
    const Descriptor chosen = ChooseForPlatform(std::get<Index>(contents), platform);
    document = registry.FetchManifest(chosen, cancel);
  }
}

std::vector<LayerSource> SourcesOf(Registry& registry, const Manifest& manifest,
                                   const ConfigDocument& config) {
  if (config.diff_ids.size() != manifest.layers.size()) {
    throw RefusePull(fmt::format("its manifest has {} layers, its config {}",
                                 manifest.layers.size(), config.diff_ids.size()));
  }
  std::vector<LayerSource> sources;
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    const Descriptor& layer = manifest.layers[i];
    if (layer.size == 0) throw RefusePull("a layer's descriptor says that it is empty");
    LayerSource source;
    source.diff_id = config.diff_ids[i];
    source.blob.size = layer.size;
    source.stream = registry.StreamOf(layer);
    source.blob_digest = layer.digest;
    source.compression = CompressionOfMediaType(layer.media_type);
    sources.push_back(std::move(source));
  }
  return sources;
}

// Its layers, kept in the store; nothing when one of them is not there.
std::optional<std::vector<store::Lease>> HoldLayers(store::Store& store, const Image& image) {
  std::vector<store::Lease> leases;
  for (const base::Digest& layer : image.layers) {
    leases.push_back(store.Use(store::Kind::kLayer, layer.hex()));
    if (!store.Find(store::Kind::kLayer, layer.hex())) return std::nullopt;
  }
  return leases;
}

}  // namespace

PulledImage PullImage(store::Store& store, WorkerClient& worker, const RegistryAccess& access,
                      const Platform& platform, const std::optional<Image>& known,
                      const ImportProgressCallback& progress, const base::CancelToken* cancel) {
  const std::string& name = access.image;
  CheckImageName(name);
  if (platform.os != HostPlatform().os || platform.architecture != HostPlatform().architecture) {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("pulling for platform `{}`", NameOf(platform)))
        .Because(
            fmt::format("this host runs `{}/{}`", HostPlatform().os, HostPlatform().architecture));
  }
  try {
    Registry registry(access, worker);
    FetchedDocument top = registry.FetchTop(cancel);
    const ImageOrigin origin{name, top.descriptor.digest, NameOf(platform)};
    if (known && known->origin == origin) {
      if (auto leases = HoldLayers(store, *known)) {
        return {{*known, std::move(*leases)}, PullResult::kUnchanged};
      }
    }
    DocumentReader reader(worker, cancel);
    const auto [descriptor, manifest] =
        FindPlatform(registry, reader, std::move(top), platform, cancel);
    const FetchedDocument document = registry.FetchConfig(manifest.config, cancel);
    const ConfigDocument config = reader.ReadConfig(document.range(), document.descriptor);
    CheckPlatform(config.config);
    std::vector<LayerSource> sources = SourcesOf(registry, manifest, config);
    LabelLayers(name, sources);
    ImportedImage pulled = EnsureLayers(store, worker, sources, kStreams, progress, cancel);
    pulled.image.name = name;
    pulled.image.manifest_digest = descriptor.digest;
    pulled.image.origin = origin;
    pulled.image.config = config.config;
    return {std::move(pulled), PullResult::kNew};
  } catch (base::Error& error) {
    error.While(fmt::format("pulling `{}` from `{}`", name, ApiHost(access.reference)));
    throw;
  }
}

}  // namespace rundlet::rootfs
