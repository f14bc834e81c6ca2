// split-archive: says where the members of an image archive (a tar of an OCI layout, or what
// `docker save` writes) are.
//
// A plain archive is not copied: its members are ranges of the file. A compressed one is first
// decompressed, once, to /out/archive, and the ranges are of that file.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "rootfs/worker/archives/tar_source.h"

namespace rundlet::rootfs::worker {

struct ArchiveMember {
  uint64_t offset = 0;
  uint64_t size = 0;
};

// Regular files by clean path; links (docker writes a layer that comes twice as one) are resolved
// within the archive, and those that lead nowhere are left out. A name that is there twice is
// refused: programs disagree on which one counts. Throws base::Error.
std::map<std::string, ArchiveMember> ListMembers(const BlobRange& plain);

// Decompresses `blob` into a new file "archive" beneath `out`. Throws base::Error.
void Decompress(const BlobRange& blob, int out, BlobReader::Progress progress = {});

// The command: {"size", "decompress"} of `file` -> its members as JSON
// (rootfs/images/image_source.cc). `out` is used only when there is something to decompress.
nlohmann::json SplitArchiveTo(int out, int file, const nlohmann::json& request);

}  // namespace rundlet::rootfs::worker
