// Documents of images: index, manifest, config, and docker's own. Refused in words, or the same
// after the way from the worker that parsed it to the engine.
//
// Input: the kind of document on the first line, then its bytes.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "rootfs/formats/oci.h"
#include "rootfs/formats/oci_document.h"
#include "tests/fuzz/check.h"

namespace {

using namespace rundlet::rootfs;  // NOLINT(build/namespaces): a program of one function
using rundlet::fuzz::Require;

const rundlet::base::DocumentOrigin& Answer() {
  static const rundlet::base::DocumentOrigin origin{"reading an answer",
                                                    rundlet::base::Fault::kBug};
  return origin;
}

// What the engine reads of the worker's answer, written again, is that answer.
template <typename Document, typename Read>
void Travel(const Document& document, Read read) {
  const nlohmann::json answer = ToJson(document);
  const nlohmann::json received = nlohmann::json::parse(answer.dump());
  Require(ToJson(read(received, Answer())) == answer);
}

void ReadOne(std::string_view kind, std::string_view bytes) {
  if (kind == "index" || kind == "manifest") {
    const ManifestOrIndex document = ParseManifestOrIndex(bytes, "");
    Travel(document, ManifestOrIndexFromJson);
    if (const Index* index = std::get_if<Index>(&document)) ChooseManifest(*index, "python:3.11");
  } else if (kind == "config") {
    const ConfigDocument document = ParseConfig(bytes);
    Travel(document, ConfigDocumentFromJson);
    CheckPlatform(document.config);
  } else if (kind == "docker") {
    const auto images = ParseDockerManifest(bytes);
    Travel(images, DockerImagesFromJson);
    ChooseImage(images, "python:3.11");
  } else if (kind == "repositories") {
    Travel(ParseRepositories(bytes), LegacyTopsFromJson);
  } else if (kind == "layer") {
    Travel(ParseLegacyLayer(bytes), LegacyLayerFromJson);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t line = input.find('\n');
  if (line == input.npos) return 0;
  try {
    ReadOne(input.substr(0, line), input.substr(line + 1));
  } catch (const rundlet::base::Error& error) {
    Require(error.fault() == rundlet::base::Fault::kInvalid);
    Require(error.Render().find('\x1b') == std::string::npos);
  }
  return 0;
}
