#include "rootfs/images/image_export.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "rootfs/images/blob.h"
#include "rootfs/images/image_blobs.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::ordered_json;

constexpr char kBlobFolder[] = "blobs/sha256";
constexpr const char* kFetchAgain =
    "take it once more with `rundlet image pull --keep-blobs` or `import --keep-blobs`";

// A full disk is not the state directory's here.
void WriteThere(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.remove_prefix(static_cast<size_t>(count));
    } else if (errno != EINTR) {
      const bool full = errno == ENOSPC || errno == EDQUOT;
      base::Error error = base::ErrnoError(errno, "writing the layout");
      if (full) error.SetHint("free space there, or name a path on another file system");
      throw error;
    }
  }
}

void WriteFile(int dir, const std::string& path, std::string_view text) {
  const base::UniqueFd file = base::OpenAt(dir, path, O_WRONLY | O_CREAT | O_EXCL, 0644);
  WriteThere(file.get(), text);
}

std::string IndexOf(const Image& image, uint64_t manifest_size) {
  return ordered_json{
      {"schemaVersion", 2},
      {"mediaType", "application/vnd.oci.image.index.v1+json"},
      {"manifests",
       {{{"mediaType", image.kept->manifest_type},
         {"digest", "sha256:" + image.manifest_digest.hex()},
         {"size", manifest_size},
         {"annotations", {{"org.opencontainers.image.ref.name", image.name}}},
         {"platform", {{"architecture", image.config.architecture}, {"os", image.config.os}}}}}}}
      .dump();
}

class Export {
 public:
  Export(store::Store& store, const Image& image, int dir, const ExportProgress& progress,
         const base::CancelToken* cancel)
      : store_(store), image_(image), dir_(dir), progress_(progress), cancel_(cancel) {}

  Exported Run() {
    leases_ = HoldBlobs(store_, *image_.kept);
    for (const base::Digest& blob : image_.kept->blobs) total_ += Find(blob).bytes;
    WriteFile(dir_, "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    base::MakeDirs(dir_, kBlobFolder);
    uint64_t manifest_size = 0;
    for (const base::Digest& blob : image_.kept->blobs) {
      const uint64_t size = Write(blob);
      if (blob == image_.manifest_digest) manifest_size = size;
    }
    WriteFile(dir_, "index.json", IndexOf(image_, manifest_size));
    return exported_;
  }

 private:
  store::EntryInfo Find(const base::Digest& digest) {
    if (auto info = store_.Find(store::Kind::kBlob, digest.hex())) return *std::move(info);
    throw base::Error(base::Fault::kHost, fmt::format("reading blob `sha256:{}`", digest.hex()))
        .Because("it is not in the store any more")
        .Hint(kFetchAgain);
  }

  uint64_t Write(const base::Digest& digest) {
    const OpenBlob blob = OpenKeptBlob(store_, digest);
    const base::UniqueFd file = base::OpenAt(dir_, fmt::format("{}/{}", kBlobFolder, digest.hex()),
                                             O_WRONLY | O_CREAT | O_EXCL, 0644);
    try {
      CopyBlob(
          blob.range(), digest,
          [&](std::string_view piece) {
            WriteThere(file.get(), piece);
            exported_.bytes += piece.size();
            if (progress_) progress_(exported_.bytes, total_);
          },
          cancel_);
    } catch (const base::Error& error) {
      if (error.fault() != base::Fault::kInvalid) throw;
      Refuse(digest, error);
    }
    ++exported_.blobs;
    return blob.size;
  }

  // It is of no use to anybody, and in the way of a whole one.
  [[noreturn]] void Refuse(const base::Digest& digest, const base::Error& altered) {
    leases_.clear();
    static_cast<void>(store_.Remove(store::Kind::kBlob, digest.hex()));
    base::Error error(base::Fault::kHost, altered.chain().front());
    error.Because(altered.chain().back());
    error.SetHint(kFetchAgain);
    throw error;
  }

  store::Store& store_;
  const Image& image_;
  const int dir_;
  const ExportProgress& progress_;
  const base::CancelToken* cancel_;
  std::vector<store::Lease> leases_;
  uint64_t total_ = 0;
  Exported exported_;
};

}  // namespace

Exported ExportImage(store::Store& store, const Image& image, NewDirectory& target,
                     const ExportProgress& progress, const base::CancelToken* cancel) {
  try {
    if (!image.kept) {
      throw base::Error(base::Fault::kInvalid, "reading its blobs")
          .Because("they were not kept: an image's layers are stored unpacked")
          .Hint(kFetchAgain);
    }
    const Exported exported = Export(store, image, target.fd(), progress, cancel).Run();
    target.Finish();
    return exported;
  } catch (base::Error& error) {
    error.While(fmt::format("exporting image `{}`", image.name));
    throw;
  }
}

}  // namespace rundlet::rootfs
