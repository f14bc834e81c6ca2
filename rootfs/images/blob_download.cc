#include "rootfs/images/blob_download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <ctime>
#include <string>

#include "base/error.h"
#include "base/fs.h"

namespace rundlet::rootfs {
namespace {

constexpr char kDownloads[] = "cache/downloads";
// Less is fetched again in a minute by a line of 10 Mbit/s, and is not worth writing twice.
constexpr uint64_t kWorthACopy = uint64_t{64} << 20;
// How much larger than its blob a layer may well be, with the blob itself.
constexpr uint64_t kRoomFactor = 5;
constexpr std::chrono::seconds kForgotten = std::chrono::hours(7 * 24);

std::string DownloadPath(const base::Digest& blob) {
  return std::string(kDownloads) + "/" + blob.hex();
}

bool HasRoom(int state, uint64_t size) {
  struct statvfs info;
  if (fstatvfs(state, &info) < 0) base::ThrowErrno("looking at the state directory's disk");
  return uint64_t{info.f_bavail} * info.f_frsize / kRoomFactor >= size;
}

}  // namespace

BlobDownload::BlobDownload(store::Store& store, const Descriptor& blob, KeepBlobs keep,
                           const base::CancelToken* cancel) {
  const bool worth_it = blob.size >= kWorthACopy && HasRoom(store.dir(), blob.size);
  if (keep == KeepBlobs::kNo && !worth_it) return;
  make_ = store.Make(store::Kind::kBlob, blob.digest.hex(), cancel);
  base::MakeDirs(store.dir(), kDownloads, 0700);
  SweepDownloads(store, kForgotten);
  file_ = base::OpenAt(store.dir(), DownloadPath(blob.digest), O_RDWR | O_CREAT, 0600);
  struct stat info;
  if (fstat(file_.get(), &info) < 0) base::ThrowErrno("looking at a download");
  had_ = static_cast<uint64_t>(info.st_size);
}

void DropDownload(store::Store& store, const base::Digest& blob) {
  if (base::ExistsAt(store.dir(), DownloadPath(blob))) {
    base::RemoveTree(store.dir(), DownloadPath(blob));
  }
}

void SweepDownloads(store::Store& store, std::chrono::seconds unused_for) {
  if (!base::ExistsAt(store.dir(), kDownloads)) return;
  for (const base::DirEntry& entry : base::ListDir(store.dir(), kDownloads)) {
    const std::string path = std::string(kDownloads) + "/" + entry.name;
    const std::optional<struct stat> info = base::StatAt(store.dir(), path);
    if (info && info->st_mtim.tv_sec + unused_for.count() < std::time(nullptr)) {
      base::RemoveTree(store.dir(), path);
    }
  }
}

}  // namespace rundlet::rootfs
