// What OCI image documents say, as values, and the choices made on them. Parsing them is
// oci_document.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace rundlet::rootfs {

// Layers an image may have; with the skeleton they fit into one overlay (500).
constexpr size_t kMaxLayers = 480;
// The size of an index, manifest or config document (registries limit manifests to 4 MiB).
constexpr uint64_t kMaxDocument = uint64_t{4} << 20;

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;  // may be empty
  bool operator==(const Platform&) const = default;
};
Platform HostPlatform();
std::string NameOf(const Platform& platform);  // "linux/amd64", "linux/arm/v7"
// Nothing for a text that is not of that form.
std::optional<Platform> ParsePlatform(std::string_view text);

// Names a document or layer by what it must hash to.
struct Descriptor {
  std::string media_type;
  base::Digest digest;
  uint64_t size = 0;
  std::optional<Platform> platform;
  std::string ref_name;  // an annotation: what the index calls it; may be empty
  bool operator==(const Descriptor&) const = default;
};

struct Index {
  std::vector<Descriptor> manifests;
};

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // bottom first
};

// How programs in the image want to be started. Data only: nothing of it is obeyed without being
// checked.
struct ImageConfig {
  std::string architecture;
  std::string os;
  std::vector<std::string> env;  // "K=V"
  std::string user;
  std::string working_dir;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  bool operator==(const ImageConfig&) const = default;
};

// The directory that it wants programs to be started in, as a plain absolute path: an image may say
// "/app/" or "/srv/../app". "/" when it says none, or no absolute one.
std::string StartDirectory(const ImageConfig& config);

struct ConfigDocument {
  ImageConfig config;
  std::vector<base::Digest> diff_ids;  // of the layers' decompressed bytes, bottom first
};

// One image of a docker archive's manifest.json: names of members.
struct DockerImage {
  std::string config;
  std::vector<std::string> layers;  // bottom first
  std::vector<std::string> tags;
};

enum class DocumentKind { kIndex, kManifest, kConfig, kLayer, kOther };
DocumentKind KindOfMediaType(std::string_view media_type);
// For the media type of a layer: "none", "gzip" or "zstd".
std::string_view CompressionOfMediaType(std::string_view media_type);

// The manifest or nested index for this host: of its platform, or without one. When several are
// left, the one that is called `name` or carries its tag. Throws base::Error (kInvalid) that lists
// what there is.
const Descriptor& ChooseManifest(const Index& index, const std::string& name);
// As a registry's index is read: the first of exactly this variant, else the first without one.
const Descriptor& ChooseForPlatform(const Index& index, const Platform& platform);
const DockerImage& ChooseImage(const std::vector<DockerImage>& images, const std::string& name);

// Throws base::Error (kInvalid) when the config is for another system than this host.
void CheckPlatform(const ImageConfig& config);

}  // namespace rundlet::rootfs
