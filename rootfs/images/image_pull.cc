// PullImage: reference -> manifest -> config -> layers. What comes from the registry is fetched by
// one kind of worker and read by another; here are only checked values.
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/fs.h"
#include "base/walls.h"
#include "rootfs/images/blob_download.h"
#include "rootfs/images/image.h"
#include "rootfs/images/image_blobs.h"
#include "rootfs/images/image_layers.h"
#include "rootfs/images/image_reading.h"
#include "rootfs/images/registry.h"

namespace rundlet::rootfs {
namespace {

constexpr int kIndexLevels = 3;
constexpr size_t kStreams = 3;  // layers at once: each is a download and an unpacking

base::Error RefusePull(std::string why) {
  return base::Error(base::Fault::kInvalid, "reading the image").Because(std::move(why));
}

// An image's pull, from its manifest on.
class ImagePull {
 public:
  ImagePull(store::Store& store, WorkerClient& worker, Registry& registry, std::string name,
            const ImportProgressCallback& progress, const base::CancelToken* cancel)
      : store_(store),
        worker_(worker),
        registry_(registry),
        name_(std::move(name)),
        progress_(progress),
        cancel_(cancel) {}

  ImportedImage Run(FetchedDocument top, const Platform& platform, KeepBlobs keep) {
    DocumentReader reader(worker_, cancel_);
    FetchedDocument manifest;
    ReadManifest(reader, std::move(top), platform, manifest);
    const FetchedDocument document = registry_.FetchConfig(manifest_.config, cancel_);
    const ConfigDocument config = reader.ReadConfig(document.range(), document.descriptor);
    CheckPlatform(config.config);
    FindSources(config, keep);
    std::optional<KeptBlobs> kept;
    std::vector<store::Lease> held;
    if (keep == KeepBlobs::kYes) {
      kept = BlobsOf(manifest.descriptor, manifest_);
      held = HoldBlobs(store_, *kept);
    }
    ImportedImage pulled = EnsureAllLayers();
    if (kept) KeepAll(manifest, document);
    for (store::Lease& lease : held) pulled.leases.push_back(std::move(lease));
    pulled.image.name = name_;
    pulled.image.manifest_digest = manifest.descriptor.digest;
    pulled.image.config = config.config;
    pulled.image.kept = std::move(kept);
    return pulled;
  }

 private:
  // From the top document down to the manifest for the platform.
  void ReadManifest(DocumentReader& reader, FetchedDocument top, const Platform& platform,
                    FetchedDocument& document) {
    document = std::move(top);
    for (int level = 0;; ++level) {
      const ManifestOrIndex contents = reader.ReadManifest(document.range(), document.descriptor);
      if (const Manifest* manifest = std::get_if<Manifest>(&contents)) {
        manifest_ = *manifest;
        return;
      }
      if (level == kIndexLevels && base::Holds(base::Wall::kIndexLevels)) {
        throw RefusePull(fmt::format("its indexes are nested deeper than {}", kIndexLevels));
      }
      const Descriptor chosen = ChooseForPlatform(std::get<Index>(contents), platform);
      document = registry_.FetchManifest(chosen, cancel_);
    }
  }

  void FindSources(const ConfigDocument& config, KeepBlobs keep) {
    if (config.diff_ids.size() != manifest_.layers.size()) {
      throw RefusePull(fmt::format("its manifest has {} layers, its config {}",
                                   manifest_.layers.size(), config.diff_ids.size()));
    }
    for (size_t i = 0; i < manifest_.layers.size(); ++i) {
      const Descriptor& layer = manifest_.layers[i];
      if (layer.size == 0) throw RefusePull("a layer's descriptor says that it is empty");
      LayerSource source;
      source.diff_id = config.diff_ids[i];
      source.blob.size = layer.size;
      source.stream = registry_.StreamOf(layer, store_, keep);
      source.blob_digest = layer.digest;
      source.compression = CompressionOfMediaType(layer.media_type);
      sources_.push_back(std::move(source));
    }
    LabelLayers(name_, sources_);
  }

  // What was downloaded is of no more use once the layer is there, or cannot be.
  ImportedImage EnsureAllLayers() {
    const auto report = [this](const ImportProgress& now) {
      const bool there = now.state == LayerState::kDone || now.state == LayerState::kPresent;
      if (there) DropDownload(store_, *sources_[now.layer].blob_digest);
      if (progress_) progress_(now);
    };
    try {
      return EnsureLayers(store_, worker_, sources_, kStreams, report, cancel_);
    } catch (const base::Error& error) {
      if (error.fault() == base::Fault::kInvalid) {
        for (const LayerSource& source : sources_) DropDownload(store_, *source.blob_digest);
      }
      throw;
    }
  }

  void KeepAll(const FetchedDocument& manifest, const FetchedDocument& config) {
    const std::string label = fmt::format("blob of {}", name_);
    EnsureBlob(store_, manifest.range(), {manifest.descriptor.digest, label}, cancel_);
    EnsureBlob(store_, config.range(), {config.descriptor.digest, label}, cancel_);
    for (size_t i = 0; i < sources_.size(); ++i) {
      // Of a layer that was there before.
      if (!store_.Find(store::Kind::kBlob, sources_[i].blob_digest->hex())) FetchBlob(i);
    }
  }

  // The stream keeps what it fetches; nobody reads it from the pipe.
  void FetchBlob(size_t number) {
    const LayerSource& source = sources_[number];
    const auto report = [&](LayerState state, uint64_t done) {
      if (!progress_) return;
      progress_({number, sources_.size(), source.diff_id, state, done, source.blob.size});
    };
    base::Pipe pipe = base::MakePipe();
    pipe.read.reset();
    source.stream(
        pipe.write.get(),
        [&](const WorkerProgress& now) { report(LayerState::kUnpacking, now.done); }, cancel_);
    DropDownload(store_, *source.blob_digest);
    report(LayerState::kDone, source.blob.size);
  }

  store::Store& store_;
  WorkerClient& worker_;
  Registry& registry_;
  const std::string name_;
  const ImportProgressCallback& progress_;
  const base::CancelToken* cancel_;
  Manifest manifest_;
  std::vector<LayerSource> sources_;
};

// What the image consists of, kept in the store; nothing when some of it is not there.
std::optional<std::vector<store::Lease>> HoldImage(store::Store& store, const Image& image,
                                                   KeepBlobs keep) {
  if (keep == KeepBlobs::kYes && !image.kept) return std::nullopt;
  std::vector<store::Lease> leases;
  for (const base::Digest& layer : image.layers) {
    leases.push_back(store.Use(store::Kind::kLayer, layer.hex()));
    if (!store.Find(store::Kind::kLayer, layer.hex())) return std::nullopt;
  }
  if (image.kept) {
    for (store::Lease& lease : HoldBlobs(store, *image.kept)) leases.push_back(std::move(lease));
    if (keep == KeepBlobs::kYes && !AreThere(store, *image.kept)) return std::nullopt;
  }
  return leases;
}

}  // namespace

PulledImage PullImage(store::Store& store, WorkerClient& worker, const RegistryAccess& access,
                      const PullWish& wish, const ImportProgressCallback& progress,
                      const base::CancelToken* cancel) {
  const std::string& name = access.image;
  const Platform& platform = wish.platform;
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
    if (wish.known && wish.known->origin == origin) {
      if (auto leases = HoldImage(store, *wish.known, wish.keep)) {
        return {{*wish.known, std::move(*leases)}, PullResult::kUnchanged};
      }
    }
    ImagePull pull(store, worker, registry, name, progress, cancel);
    ImportedImage pulled = pull.Run(std::move(top), platform, wish.keep);
    pulled.image.origin = origin;
    return {std::move(pulled), PullResult::kNew};
  } catch (base::Error& error) {
    error.While(fmt::format("pulling `{}` from `{}`", name, ApiHost(access.reference)));
    throw;
  }
}

}  // namespace rundlet::rootfs
