// Where an image is taken from: a directory or an archive, as named members.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/cancel.h"
#include "base/fd.h"
#include "rootfs/images/layer.h"
#include "rootfs/worker_client.h"
#include "store/store.h"

namespace rundlet::rootfs {

// Keeps the members' descriptors, and the decompressed copy of a compressed archive, as long as it
// lives.
class ImageSource {
 public:
  // `source` is an open directory or regular file; anything else is refused. An archive is listed
  // by a worker.
  ImageSource(store::Store& store, WorkerClient& worker, base::UniqueFd source,
              const base::CancelToken* cancel);

  // A member that is a regular file. In a directory, opened beneath it: no link is followed.
  std::optional<FileRange> Find(const std::string& path);

 private:
  void ReadArchive(store::Store& store, WorkerClient& worker, uint64_t size,
                   const base::CancelToken* cancel);

  base::UniqueFd source_;
  bool directory_ = false;
  std::map<std::string, base::UniqueFd> opened_;  // of a directory
  std::map<std::string, FileRange> members_;  // of an archive, and what was opened of a directory
  std::optional<store::Staging> staging_;     // holds the decompressed archive
  base::UniqueFd decompressed_;
};

}  // namespace rundlet::rootfs
