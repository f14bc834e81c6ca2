#include "rootfs/worker/archives/read_image.h"

#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/formats/oci_document.h"
#include "rootfs/worker/command.h"

namespace rundlet::rootfs::worker {
namespace {

std::string ReadAll(const BlobRange& blob) {
  if (blob.size > kMaxDocument) {
    throw base::Error(base::Fault::kInvalid, "reading an image's document")
        .Because(fmt::format("it is larger than {}", base::HumanBytes(kMaxDocument)));
  }
  std::string bytes(blob.size, '\0');
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t count = pread(blob.fd, bytes.data() + have, bytes.size() - have,
                                static_cast<off_t>(blob.offset + have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) base::ThrowErrno("reading an image's document");
    if (count == 0) {
      throw base::Error(base::Fault::kInvalid, "reading an image's document")
          .Because("it is shorter than was said");
    }
    have += static_cast<size_t>(count);
  }
  return bytes;
}

nlohmann::json Parse(std::string_view bytes, std::string_view kind, std::string_view media_type) {
  if (kind == "manifest") return ToJson(ParseManifestOrIndex(bytes, media_type));
  if (kind == "config") return ToJson(ParseConfig(bytes));
  if (kind == "docker-manifest") return ToJson(ParseDockerManifest(bytes));
  if (kind == "repositories") return ToJson(ParseRepositories(bytes));
  if (kind == "legacy-layer") return ToJson(ParseLegacyLayer(bytes));
  throw base::Error(base::Fault::kBug,
                    fmt::format("reading an image's document of kind `{}`", kind))
      .Because("there is no such kind");
}

}  // namespace

nlohmann::json ReadDocument(const BlobRange& blob, std::string_view kind,
                            const std::optional<base::Digest>& digest,
                            std::string_view media_type) {
  const std::string bytes = ReadAll(blob);
  const base::Digest found = base::Digest::Of(bytes);
  if (digest && found != *digest && base::Holds(base::Wall::kDocumentBytes)) {
    throw base::Error(base::Fault::kInvalid, fmt::format("reading blob `sha256:{}`", digest->hex()))
        .Because(fmt::format("it was altered: its digest is `sha256:{}`", found.hex()));
  }
  return {{"digest", found.hex()}, {"document", Parse(bytes, kind, media_type)}};
}

base::Digest DiffIdOf(const BlobRange& blob) {
  return BlobReader(blob, {}, Digesting::kContents).Finish().contents;
}

nlohmann::json ReadImageFrom(int file, const nlohmann::json& request) {
  const BlobRange blob{file, request.at("offset"), request.at("size")};
  const std::string kind = request.at("kind");
  if (kind == "diff-id") return {{"digest", DiffIdOf(blob).hex()}};
  const std::string digest = request.at("digest");
  return ReadDocument(blob, kind, base::Digest::Parse(digest),
                      request.at("media_type").get<std::string>());
}

nlohmann::json ReadImage(const nlohmann::json& request) {
  return ReadImageFrom(kFirstFile, request);
}

}  // namespace rundlet::rootfs::worker
