// Installing one wheel into an empty directory, by the binary distribution format and nothing else.
//
// Runs in an unprivileged worker. No code of the wheel or of an image is run. The files written are
// exactly those of the wheel's RECORD, each held against its hash, plus the scripts its entry
// points ask for, INSTALLER and a new RECORD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "rootfs/worker/wheels/elf.h"

namespace rundlet::rootfs::worker {

struct InstallRequest {
  std::string name;  // normalised; METADATA and the archive's folders must agree
  std::string version;
  std::string python_tag;  // "3.11"
};

struct InstalledFile {
  std::string path;  // below the prefix
  uint64_t size = 0;
  base::Digest sha256;
  bool executable = false;
};

// An ELF file and what it asks the loader for.
struct InstalledLibrary {
  std::string path;  // below the prefix
  ElfNeeds needs;
};

struct InstallReport {
  std::string dist_info;             // "six-1.17.0.dist-info"
  std::vector<InstalledFile> files;  // sorted by path
  std::vector<InstalledLibrary> libraries = {};
};

// `out` is a descriptor of the empty directory that becomes the prefix. Throws base::Error
// (kInvalid) for a wheel that is not exactly what it says, naming the file; what was written until
// then is left for the caller to drop.
InstallReport InstallWheelInto(std::span<const std::byte> archive, const InstallRequest& request,
                               int out);

// The worker's answer: {"dist_info", "files": [[path, size, sha256, executable], ...],
// "libraries": [[path, soname, [needed, ...]], ...]}.
nlohmann::json InstallAnswer(const InstallReport& report);

}  // namespace rundlet::rootfs::worker
