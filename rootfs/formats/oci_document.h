// Index, manifest and config documents of images, by the OCI image specification 1.1 and docker's
// older forms.
//
// `Parse...` reads outside bytes: only workers call it. What they found they answer in the same
// shape, reduced to the fields below (`ToJson`), and the engine reads the answer with the same
// `...FromJson`, field by field again. All functions throw base::Error.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json/fields.h"
#include "rootfs/formats/oci.h"

namespace rundlet::rootfs {

using ManifestOrIndex = std::variant<Index, Manifest>;

// `media_type` is what the descriptor said, or empty when there was none. A document that is an
// index and a manifest at once, or not what its media types say, is refused: programs would
// disagree on what it is.
ManifestOrIndex ParseManifestOrIndex(std::string_view bytes, std::string_view media_type);
ConfigDocument ParseConfig(std::string_view bytes);
std::vector<DockerImage> ParseDockerManifest(std::string_view bytes);  // manifest.json
// The file `repositories` of archives that docker wrote before 1.10: ids of topmost layers, with
// "NAME:TAG".
struct LegacyTop {
  std::string name;
  std::string id;
};
std::vector<LegacyTop> ParseRepositories(std::string_view bytes);
// "ID/json" in such an archive.
struct LegacyLayer {
  std::string parent;  // an id, or empty
  ImageConfig config;
};
LegacyLayer ParseLegacyLayer(std::string_view bytes);

nlohmann::json ToJson(const ManifestOrIndex& document);
nlohmann::json ToJson(const ConfigDocument& document);
nlohmann::json ToJson(const ImageConfig& config);
nlohmann::json ToJson(const std::vector<DockerImage>& images);
nlohmann::json ToJson(const std::vector<LegacyTop>& tops);
nlohmann::json ToJson(const LegacyLayer& layer);

ManifestOrIndex ManifestOrIndexFromJson(const nlohmann::json& value,
                                        const base::DocumentOrigin& origin);
ConfigDocument ConfigDocumentFromJson(const nlohmann::json& value,
                                      const base::DocumentOrigin& origin);
ImageConfig ImageConfigFromJson(const nlohmann::json& value, const base::DocumentOrigin& origin);
std::vector<DockerImage> DockerImagesFromJson(const nlohmann::json& value,
                                              const base::DocumentOrigin& origin);
std::vector<LegacyTop> LegacyTopsFromJson(const nlohmann::json& value,
                                          const base::DocumentOrigin& origin);
LegacyLayer LegacyLayerFromJson(const nlohmann::json& value, const base::DocumentOrigin& origin);

}  // namespace rundlet::rootfs
