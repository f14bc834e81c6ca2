// read-image: one JSON document of an image, checked against its descriptor and reduced to what
// rundlet uses.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "rootfs/worker/archives/tar_source.h"

namespace rundlet::rootfs::worker {

// `kind` is "manifest" (or index), "config", "docker-manifest", "repositories", "legacy-layer". The
// bytes must hash to `digest` when there is one. Gives {"digest", "document"}, the document in our
// shape (rootfs/formats/oci_document.h). Throws base::Error.
nlohmann::json ReadDocument(const BlobRange& blob, std::string_view kind,
                            const std::optional<base::Digest>& digest, std::string_view media_type);

// A layer's diff id, for archives so old that they do not state it.
base::Digest DiffIdOf(const BlobRange& blob);

// The command: {"kind", "offset", "size", "digest", "media_type"} of `file`; the kind "diff-id"
// asks for a layer's.
nlohmann::json ReadImageFrom(int file, const nlohmann::json& request);

}  // namespace rundlet::rootfs::worker
