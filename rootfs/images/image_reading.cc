#include "rootfs/images/image_reading.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.h"
#include "base/walls.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::json;

const base::DocumentOrigin& Answer() {
  static const base::DocumentOrigin origin = base::AnswerOf("read-image");
  return origin;
}

const json& DocumentOf(const json& answer) {
  const base::Fields fields(answer, Answer());
  if (!fields.Has("document")) throw fields.Refuse("`document` is missing");
  return answer.at("document");
}

base::Digest DigestIn(const json& answer) {
  return base::Fields(answer, Answer()).DigestAt("digest");
}

}  // namespace

json DocumentReader::Ask(const FileRange& file, const char* kind, const Descriptor* descriptor) {
  if (descriptor != nullptr && descriptor->size != file.size) {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("reading blob `sha256:{}`", descriptor->digest.hex()))
        .Because(
            fmt::format("it has {} bytes, its descriptor says {}", file.size, descriptor->size));
  }
  WorkerJob job;
  job.command = "read-image";
  job.request = json{{"kind", kind},
                     {"offset", file.offset},
                     {"size", file.size},
                     {"digest", descriptor == nullptr ? "" : descriptor->digest.hex()},
                     {"media_type", descriptor == nullptr ? "" : descriptor->media_type}}
                    .dump();
  job.files = {file.fd};
  json answer = base::ParseJson(worker_.Run(
                                    job, [](const WorkerProgress&) {}, cancel_),
                                Answer());
  if (descriptor != nullptr && DigestIn(answer) != descriptor->digest &&
      base::Holds(base::Wall::kDocumentAnswer)) {
    throw base::Fields(answer, Answer()).Refuse("it is on another document");
  }
  return answer;
}

ManifestOrIndex DocumentReader::ReadTopIndex(const FileRange& file) {
  return ManifestOrIndexFromJson(DocumentOf(Ask(file, "manifest", nullptr)), Answer());
}

ManifestOrIndex DocumentReader::ReadManifest(const FileRange& file, const Descriptor& descriptor) {
  return ManifestOrIndexFromJson(DocumentOf(Ask(file, "manifest", &descriptor)), Answer());
}

ConfigDocument DocumentReader::ReadConfig(const FileRange& file, const Descriptor& descriptor) {
  return ConfigDocumentFromJson(DocumentOf(Ask(file, "config", &descriptor)), Answer());
}

std::vector<DockerImage> DocumentReader::ReadDockerManifest(const FileRange& file) {
  return DockerImagesFromJson(DocumentOf(Ask(file, "docker-manifest", nullptr)), Answer());
}

ConfigDocument DocumentReader::ReadDockerConfig(const FileRange& file, base::Digest& digest) {
  const json answer = Ask(file, "config", nullptr);
  digest = DigestIn(answer);
  return ConfigDocumentFromJson(DocumentOf(answer), Answer());
}

std::vector<LegacyTop> DocumentReader::ReadRepositories(const FileRange& file) {
  return LegacyTopsFromJson(DocumentOf(Ask(file, "repositories", nullptr)), Answer());
}

LegacyLayer DocumentReader::ReadLegacyLayer(const FileRange& file, base::Digest& digest) {
  const json answer = Ask(file, "legacy-layer", nullptr);
  digest = DigestIn(answer);
  return LegacyLayerFromJson(DocumentOf(answer), Answer());
}

base::Digest DocumentReader::ReadDiffId(const FileRange& file) {
  return DigestIn(Ask(file, "diff-id", nullptr));
}

}  // namespace rundlet::rootfs
