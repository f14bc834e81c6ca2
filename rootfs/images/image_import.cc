// ImportImage: source -> documents -> layers. Each document is read by a worker; what to read next
// is decided here, on checked values only.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/text.h"
#include "rootfs/images/image.h"
#include "rootfs/images/image_blobs.h"
#include "rootfs/images/image_layers.h"
#include "rootfs/images/image_reading.h"
#include "rootfs/images/image_source.h"

namespace rundlet::rootfs {
namespace {

constexpr int kIndexDepth = 3;
constexpr size_t kUnpackers = 2;

// What the documents say, before any layer was looked at.
struct Contents {
  base::Digest digest;
  ImageConfig config;
  std::vector<LayerSource> layers;  // bottom first
  std::optional<KeptBlobs> blobs;   // of a layout
};

base::Error RefuseImage(std::string why) {
  return base::Error(base::Fault::kInvalid, "reading the image").Because(std::move(why));
}

std::string BlobPath(const base::Digest& digest) { return "blobs/sha256/" + digest.hex(); }

FileRange FindMember(ImageSource& source, const std::string& path) {
  if (const auto found = source.Find(path)) return *found;
  throw RefuseImage(fmt::format("`{}` is missing", base::Printable(path)));
}

// Follows nested indexes down to the manifest for this host.
std::pair<Descriptor, Manifest> FindManifest(ImageSource& source, DocumentReader& reader,
                                             const std::string& name) {
  ManifestOrIndex document = reader.ReadTopIndex(FindMember(source, "index.json"));
  for (int depth = 1; depth <= kIndexDepth; ++depth) {
    const Index* index = std::get_if<Index>(&document);
    // Only the first document is not vouched for by a descriptor, and it has to be an index.
    if (index == nullptr) throw RefuseImage("`index.json` is no image index");
    const Descriptor chosen = ChooseManifest(*index, name);
    document = reader.ReadManifest(FindMember(source, BlobPath(chosen.digest)), chosen);
    if (const Manifest* manifest = std::get_if<Manifest>(&document)) return {chosen, *manifest};
  }
  throw RefuseImage(fmt::format("its indexes are nested deeper than {}", kIndexDepth));
}

Contents ReadLayout(ImageSource& source, DocumentReader& reader, const std::string& name) {
  const auto [descriptor, manifest] = FindManifest(source, reader, name);
  const ConfigDocument config =
      reader.ReadConfig(FindMember(source, BlobPath(manifest.config.digest)), manifest.config);
  if (config.diff_ids.size() != manifest.layers.size()) {
    throw RefuseImage(fmt::format("its manifest has {} layers, its config {}",
                                  manifest.layers.size(), config.diff_ids.size()));
  }
  Contents contents{descriptor.digest, config.config, {}, BlobsOf(descriptor, manifest)};
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    const Descriptor& layer = manifest.layers[i];
    const FileRange blob = FindMember(source, BlobPath(layer.digest));
    if (blob.size != layer.size) {
      throw RefuseImage(fmt::format("layer `sha256:{}` has {} bytes, its descriptor says {}",
                                    layer.digest.hex(), blob.size, layer.size));
    }
    contents.layers.push_back({config.diff_ids[i],
                               blob,
                               {},
                               layer.digest,
                               std::string(CompressionOfMediaType(layer.media_type)),
                               ""});
  }
  return contents;
}

Contents ReadDockerArchive(ImageSource& source, DocumentReader& reader, const std::string& name) {
  const std::vector<DockerImage> images =
      reader.ReadDockerManifest(FindMember(source, "manifest.json"));
  const DockerImage& image = ChooseImage(images, name);
  Contents contents;
  const ConfigDocument config =
      reader.ReadDockerConfig(FindMember(source, image.config), contents.digest);
  if (config.diff_ids.size() != image.layers.size()) {
    throw RefuseImage(fmt::format("its manifest has {} layers, its config {}", image.layers.size(),
                                  config.diff_ids.size()));
  }
  contents.config = config.config;
  for (size_t i = 0; i < image.layers.size(); ++i) {
    contents.layers.push_back(
        {config.diff_ids[i], FindMember(source, image.layers[i]), {}, std::nullopt, "", ""});
  }
  return contents;
}

// Archives from before docker 1.10: a folder a layer, chained by parent, without diff ids.
Contents ReadLegacyArchive(ImageSource& source, DocumentReader& reader, const std::string& name) {
  const std::vector<LegacyTop> tops = reader.ReadRepositories(FindMember(source, "repositories"));
  std::vector<DockerImage> images;
  for (const LegacyTop& top : tops) images.push_back({top.id, {}, {top.name}});
  std::string id = ChooseImage(images, name).config;
  Contents contents;
  std::set<std::string> seen;
  while (!id.empty()) {
    if (!seen.insert(id).second) throw RefuseImage("its layers are their own parents");
    if (seen.size() > kMaxLayers) throw RefuseImage("it has too many layers");
    base::Digest digest;
    const LegacyLayer layer = reader.ReadLegacyLayer(FindMember(source, id + "/json"), digest);
    if (contents.layers.empty()) {
      contents.digest = digest;
      contents.config = layer.config;
    }
    const FileRange blob = FindMember(source, id + "/layer.tar");
    contents.layers.push_back({reader.ReadDiffId(blob), blob, {}, std::nullopt, "", ""});
    id = layer.parent;
  }
  std::reverse(contents.layers.begin(), contents.layers.end());
  return contents;
}

Contents ReadContents(ImageSource& source, DocumentReader& reader, const std::string& name) {
  if (source.Find("index.json")) return ReadLayout(source, reader, name);
  if (source.Find("manifest.json")) return ReadDockerArchive(source, reader, name);
  if (source.Find("repositories")) return ReadLegacyArchive(source, reader, name);
  throw RefuseImage(
      "it is neither an OCI image layout (`index.json`) nor an archive of `docker save` "
      "(`manifest.json`)");
}

void CheckForKeeping(const Contents& contents) {
  if (!contents.blobs) {
    throw base::Error(base::Fault::kInvalid, "keeping the image's blobs")
        .Because("an archive of docker has no manifest, and its layers no digests of their own")
        .Hint("make an OCI layout of it: `skopeo copy docker-archive:PATH oci:DIRECTORY`");
  }
  if (contents.blobs->manifest_type.empty()) {
    throw base::Error(base::Fault::kInvalid, "keeping the image's blobs")
        .Because("its index does not say of which media type its manifest is");
  }
}

std::vector<store::Lease> KeepAll(store::Store& store, ImageSource& source, const KeptBlobs& blobs,
                                  const std::string& name, const base::CancelToken* cancel) {
  std::vector<store::Lease> leases = HoldBlobs(store, blobs);
  for (const base::Digest& digest : blobs.blobs) {
    EnsureBlob(store, FindMember(source, BlobPath(digest)),
               {digest, fmt::format("blob of {}", name)}, cancel);
  }
  return leases;
}

}  // namespace

ImportedImage ImportImage(store::Store& store, WorkerClient& worker, ImportRequest request,
                          const ImportProgressCallback& progress, const base::CancelToken* cancel) {
  const std::string& name = request.name;
  CheckImageName(name);
  try {
    ImageSource source(store, worker, std::move(request.source), cancel);
    DocumentReader reader(worker, cancel);
    Contents contents = ReadContents(source, reader, name);
    CheckPlatform(contents.config);
    if (request.keep == KeepBlobs::kYes) CheckForKeeping(contents);
    LabelLayers(name, contents.layers);
    ImportedImage imported =
        EnsureLayers(store, worker, contents.layers, kUnpackers, progress, cancel);
    if (request.keep == KeepBlobs::kYes) {
      for (store::Lease& lease : KeepAll(store, source, *contents.blobs, name, cancel)) {
        imported.leases.push_back(std::move(lease));
      }
      imported.image.kept = contents.blobs;
    }
    imported.image.name = name;
    imported.image.manifest_digest = contents.digest;
    imported.image.config = contents.config;
    return imported;
  } catch (base::Error& error) {
    error.While(fmt::format("importing image `{}`", name));
    throw;
  }
}

}  // namespace rundlet::rootfs
