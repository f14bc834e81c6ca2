#include "rootfs/images/blob.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fs.h"
#include "base/walls.h"

namespace rundlet::rootfs {
namespace {

using store::Kind;

constexpr char kBlobFile[] = "blob";
constexpr size_t kBlobPiece = size_t{1} << 18;

}  // namespace

OpenBlob OpenKeptBlob(store::Store& store, const base::Digest& digest) {
  OpenBlob blob;
  blob.file =
      base::OpenAt(store.dir(), store::Store::PathOf(Kind::kBlob, digest.hex()) + "/" + kBlobFile,
                   O_RDONLY | O_NONBLOCK);
  struct stat info;
  if (fstat(blob.file.get(), &info) < 0) base::ThrowErrno("looking at a kept blob");
  blob.size = static_cast<uint64_t>(info.st_size);
  return blob;
}

void CopyBlob(const FileRange& from, const base::Digest& digest, const BlobSink& sink,
              const base::CancelToken* cancel) {
  base::Sha256 hash;
  std::vector<char> piece(kBlobPiece);
  for (uint64_t done = 0; done < from.size;) {
    if (cancel != nullptr) cancel->ThrowIfCancelled();
    const size_t wanted = std::min<uint64_t>(piece.size(), from.size - done);
    const ssize_t count =
        pread(from.fd, piece.data(), wanted, static_cast<off_t>(from.offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) base::ThrowErrno("reading blob `sha256:{}`", digest.hex());
    if (count == 0) break;  // shorter than was said: so is its digest another
    const std::string_view bytes(piece.data(), static_cast<size_t>(count));
    hash.Add(bytes);
    sink(bytes);
    done += bytes.size();
  }
  const base::Digest found = hash.Finish();
  if (found == digest || !base::Holds(base::Wall::kKeptBytes)) return;
  throw base::Error(base::Fault::kInvalid, fmt::format("reading blob `sha256:{}`", digest.hex()))
      .Because(fmt::format("it was altered: its digest is `sha256:{}`", found.hex()));
}

void KeepBlob(store::Store& store, const FileRange& from, const BlobName& name,
              const base::CancelToken* cancel) {
  store::Staging staging = store.NewStaging();
  {
    const base::UniqueFd file =
        base::OpenAt(staging.tree(), kBlobFile, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CopyBlob(
        from, name.digest,
        [&](std::string_view piece) { base::WriteFd(file.get(), piece, "a blob"); }, cancel);
  }
  store::Normalise(staging.tree());
  const store::Manifest manifest = store::ManifestOf(staging.tree());
  store::EntryInfo info;
  info.kind = Kind::kBlob;
  info.key = name.digest.hex();
  info.name = name.label;
  info.meta = R"({"version":1})";
  info.output = manifest.digest();
  info.bytes = manifest.bytes;
  info.files = manifest.files;
  store.Commit(std::move(staging), std::move(info));
}

void EnsureBlob(store::Store& store, const FileRange& from, const BlobName& name,
                const base::CancelToken* cancel) {
  const std::string key = name.digest.hex();
  if (store.Find(Kind::kBlob, key)) return;
  const store::Lease make = store.Make(Kind::kBlob, key, cancel);
  if (!store.Find(Kind::kBlob, key)) KeepBlob(store, from, name, cancel);
}

}  // namespace rundlet::rootfs
