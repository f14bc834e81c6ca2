#include "rootfs/formats/oci_document.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.h"
#include "base/walls.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::json;

constexpr size_t kManifests = 1000;
constexpr size_t kTexts = 4096;  // of a list such as Env
constexpr char kRefName[] = "org.opencontainers.image.ref.name";
constexpr char kContainerdName[] = "io.containerd.image.name";

Platform PlatformFromJson(const base::Fields& fields) {
  return {fields.Text("os", 64), fields.Text("architecture", 64),
          fields.TextOrEmpty("variant", 64)};
}

Descriptor DescriptorFromJson(const json& value, const base::DocumentOrigin& origin) {
  const base::Fields fields(value, origin);
  Descriptor descriptor;
  descriptor.media_type = fields.TextOrEmpty("mediaType", 256);
  descriptor.digest = fields.DigestAt("digest");
  descriptor.size = fields.Number("size");
  if (descriptor.size > INT64_MAX) throw fields.Refuse("`size` is too large");
  if (fields.Has("platform")) descriptor.platform = PlatformFromJson(fields.Object("platform"));
  if (fields.Has("annotations")) {
    const base::Fields annotations = fields.Object("annotations");
    descriptor.ref_name = annotations.TextOrEmpty(kContainerdName);
    if (descriptor.ref_name.empty()) descriptor.ref_name = annotations.TextOrEmpty(kRefName);
  }
  return descriptor;
}

json ToJson(const Descriptor& descriptor) {
  json value = {{"mediaType", descriptor.media_type},
                {"digest", "sha256:" + descriptor.digest.hex()},
                {"size", descriptor.size},
                {"annotations", {{kRefName, descriptor.ref_name}}}};
  if (descriptor.platform) {
    value["platform"] = {{"os", descriptor.platform->os},
                         {"architecture", descriptor.platform->architecture},
                         {"variant", descriptor.platform->variant}};
  }
  return value;
}

Manifest ManifestFromFields(const base::Fields& fields, const json& value,
                            const base::DocumentOrigin& origin) {
  Manifest manifest;
  if (!fields.Has("config")) throw fields.Refuse("`config` is missing");
  manifest.config = DescriptorFromJson(value.at("config"), origin);
  if (KindOfMediaType(manifest.config.media_type) != DocumentKind::kConfig) {
    throw fields.Refuse(fmt::format("it is no image: its config is `{}`",
                                    base::Printable(manifest.config.media_type)));
  }
  for (const json& layer : fields.List("layers", kMaxLayers)) {
    manifest.layers.push_back(DescriptorFromJson(layer, origin));
    const std::string& type = manifest.layers.back().media_type;
    if (KindOfMediaType(type) != DocumentKind::kLayer) {
      throw fields.Refuse(
          fmt::format("a layer is of a kind that is not supported: `{}`", base::Printable(type)));
    }
  }
  return manifest;
}

std::string LegacyId(const std::string& text, const base::DocumentOrigin& origin) {
  const auto id = base::Digest::Parse(text);
  if (!id) throw base::Error(origin.fault, origin.what).Because("an image id is no sha256 digest");
  return id->hex();
}

}  // namespace

ManifestOrIndex ManifestOrIndexFromJson(const json& value, const base::DocumentOrigin& origin) {
  const base::Fields fields(value, origin);
  if (fields.Has("fsLayers") ||
      (fields.Has("schemaVersion") && fields.Number("schemaVersion") == 1)) {
    throw fields.Refuse("it is a manifest of schema 1, which is not supported");
  }
  if (!fields.Has("schemaVersion") || fields.Number("schemaVersion") != 2) {
    throw fields.Refuse("`schemaVersion` is not 2");
  }
  const bool index = fields.Has("manifests");
  if (index && (fields.Has("layers") || fields.Has("config"))) {
    throw fields.Refuse("it is an index and a manifest at once");
  }
  if (!index) return ManifestFromFields(fields, value, origin);
  Index found;
  const size_t most = base::Holds(base::Wall::kIndexManifests) ? kManifests : SIZE_MAX;
  for (const json& manifest : fields.List("manifests", most)) {
    found.manifests.push_back(DescriptorFromJson(manifest, origin));
  }
  return found;
}

ManifestOrIndex ParseManifestOrIndex(std::string_view bytes, std::string_view media_type) {
  const base::DocumentOrigin origin{"reading an image's manifest", base::Fault::kInvalid};
  const json value = base::ParseJson(bytes, origin);
  ManifestOrIndex document = ManifestOrIndexFromJson(value, origin);
  const base::Fields fields(value, origin);
  const std::string own = fields.TextOrEmpty("mediaType", 256);
  if (!own.empty() && !media_type.empty() && own != media_type) {
    throw fields.Refuse("its media type is not the one its descriptor says");
  }
  const std::string_view stated = own.empty() ? media_type : std::string_view(own);
  const DocumentKind kind =
      std::holds_alternative<Index>(document) ? DocumentKind::kIndex : DocumentKind::kManifest;
  if (!stated.empty() && KindOfMediaType(stated) != kind) {
    throw fields.Refuse(
        fmt::format("it is not what its media type `{}` says", base::Printable(stated)));
  }
  return document;
}

ImageConfig ImageConfigFromJson(const json& value, const base::DocumentOrigin& origin) {
  const base::Fields fields(value, origin);
  ImageConfig config;
  config.architecture = fields.Text("architecture", 64);
  config.os = fields.Text("os", 64);
  if (!fields.Has("config")) return config;
  const base::Fields inner = fields.Object("config");
  config.env = inner.TextsOrEmpty("Env", kTexts);
  for (const std::string& variable : config.env) {
    if (variable.find('=') == 0 || variable.find('=') == variable.npos) {
      throw inner.Refuse(
          fmt::format("`{}` is no environment variable", base::Printable(variable.substr(0, 80))));
    }
  }
  config.user = inner.TextOrEmpty("User", 256);
  config.working_dir = inner.TextOrEmpty("WorkingDir");
  config.entrypoint = inner.TextsOrEmpty("Entrypoint", kTexts);
  config.cmd = inner.TextsOrEmpty("Cmd", kTexts);
  return config;
}

ConfigDocument ConfigDocumentFromJson(const json& value, const base::DocumentOrigin& origin) {
  ConfigDocument document;
  document.config = ImageConfigFromJson(value, origin);
  const base::Fields rootfs = base::Fields(value, origin).Object("rootfs");
  if (rootfs.Text("type") != "layers") throw rootfs.Refuse("`rootfs.type` is not `layers`");
  if (!rootfs.Has("diff_ids")) return document;  // an image without layers
  for (const json& diff_id : rootfs.List("diff_ids", kMaxLayers)) {
    document.diff_ids.push_back(DigestOf(diff_id, origin));
  }
  return document;
}

ConfigDocument ParseConfig(std::string_view bytes) {
  const base::DocumentOrigin origin{"reading an image's config", base::Fault::kInvalid};
  return ConfigDocumentFromJson(base::ParseJson(bytes, origin), origin);
}

std::vector<DockerImage> DockerImagesFromJson(const json& value,
                                              const base::DocumentOrigin& origin) {
  if (!value.is_array() || value.size() > kManifests) {
    throw base::Error(origin.fault, origin.what).Because("it is no list of images");
  }
  std::vector<DockerImage> images;
  for (const json& element : value) {
    const base::Fields fields(element, origin);
    images.push_back({fields.Text("Config"), fields.TextsOrEmpty("Layers", kMaxLayers),
                      fields.TextsOrEmpty("RepoTags", kManifests)});
  }
  return images;
}

std::vector<DockerImage> ParseDockerManifest(std::string_view bytes) {
  const base::DocumentOrigin origin{"reading `manifest.json`", base::Fault::kInvalid};
  return DockerImagesFromJson(base::ParseJson(bytes, origin), origin);
}

std::vector<LegacyTop> LegacyTopsFromJson(const json& value, const base::DocumentOrigin& origin) {
  if (!value.is_object() || value.size() > kManifests) {
    throw base::Error(origin.fault, origin.what).Because("it is no list of repositories");
  }
  std::vector<LegacyTop> tops;
  for (const auto& [repository, tags] : value.items()) {
    if (!tags.is_object() || tags.size() > kManifests || tops.size() > kManifests) {
      throw base::Error(origin.fault, origin.what).Because("a repository has no list of tags");
    }
    for (const auto& [tag, id] : tags.items()) {
      tops.push_back({repository + ":" + tag, LegacyId(TextOf(id, origin), origin)});
    }
  }
  return tops;
}

std::vector<LegacyTop> ParseRepositories(std::string_view bytes) {
  const base::DocumentOrigin origin{"reading `repositories`", base::Fault::kInvalid};
  return LegacyTopsFromJson(base::ParseJson(bytes, origin), origin);
}

LegacyLayer LegacyLayerFromJson(const json& value, const base::DocumentOrigin& origin) {
  LegacyLayer layer;
  layer.config = ImageConfigFromJson(value, origin);
  const std::string parent = base::Fields(value, origin).TextOrEmpty("parent", 128);
  if (!parent.empty()) layer.parent = LegacyId(parent, origin);
  return layer;
}

LegacyLayer ParseLegacyLayer(std::string_view bytes) {
  const base::DocumentOrigin origin{"reading a layer's `json`", base::Fault::kInvalid};
  json value = base::ParseJson(bytes, origin);
  // Lower layers need not say for what they are; the topmost one decides.
  if (value.is_object() && !value.contains("architecture")) value["architecture"] = "unknown";
  if (value.is_object() && !value.contains("os")) value["os"] = "unknown";
  return LegacyLayerFromJson(value, origin);
}

json ToJson(const ManifestOrIndex& document) {
  json value = {{"schemaVersion", 2}};
  if (const Index* index = std::get_if<Index>(&document)) {
    value["manifests"] = json::array();
    for (const Descriptor& manifest : index->manifests)
      value["manifests"].push_back(ToJson(manifest));
    return value;
  }
  const Manifest& manifest = std::get<Manifest>(document);
  value["config"] = ToJson(manifest.config);
  value["layers"] = json::array();
  for (const Descriptor& layer : manifest.layers) value["layers"].push_back(ToJson(layer));
  return value;
}

json ToJson(const ImageConfig& config) {
  return {{"architecture", config.architecture},
          {"os", config.os},
          {"config",
           {{"Env", config.env},
            {"User", config.user},
            {"WorkingDir", config.working_dir},
            {"Entrypoint", config.entrypoint},
            {"Cmd", config.cmd}}}};
}

json ToJson(const ConfigDocument& document) {
  json value = ToJson(document.config);
  json diff_ids = json::array();
  for (const base::Digest& diff_id : document.diff_ids)
    diff_ids.push_back("sha256:" + diff_id.hex());
  value["rootfs"] = {{"type", "layers"}, {"diff_ids", diff_ids}};
  return value;
}

json ToJson(const std::vector<DockerImage>& images) {
  json value = json::array();
  for (const DockerImage& image : images) {
    value.push_back({{"Config", image.config}, {"Layers", image.layers}, {"RepoTags", image.tags}});
  }
  return value;
}

json ToJson(const std::vector<LegacyTop>& tops) {
  json value = json::object();
  for (const LegacyTop& top : tops) {
    const size_t colon = top.name.rfind(':');
    value[top.name.substr(0, colon)][top.name.substr(colon + 1)] = top.id;
  }
  return value;
}

json ToJson(const LegacyLayer& layer) {
  json value = ToJson(layer.config);
  value["parent"] = layer.parent;
  return value;
}

}  // namespace rundlet::rootfs
