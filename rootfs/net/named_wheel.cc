#include "rootfs/net/named_wheel.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/url.h"
#include "rootfs/formats/wheel_name.h"

namespace rundlet::rootfs {
namespace {

constexpr uint64_t kWheelLimit = uint64_t{8} << 30;
constexpr uint64_t kCopyPiece = 16 << 20;  // between looks at the cancel token

Distribution NamedLike(const std::string& filename) {
  const WheelName parts = ParseWheelName(filename);
  Distribution distribution;
  distribution.name = parts.name;
  distribution.version = parts.version;
  distribution.filename = filename;
  return distribution;
}

// The staging tree holds the one file; its content decides the key.
NamedWheel Keep(store::Store& store, store::Staging staging, Distribution distribution,
                const base::CancelToken* cancel) {
  const base::UniqueFd file = base::OpenAt(staging.tree(), distribution.filename, O_RDONLY);
  distribution.sha256 = base::DigestOfFile(file.get());
  const std::string key = distribution.WheelKey();
  NamedWheel wheel{std::move(distribution), store.Use(store::Kind::kWheel, key)};
  if (auto there = store.Find(store::Kind::kWheel, key)) {
    wheel.distribution.size = there->bytes;
    return wheel;
  }
  store::Normalise(staging.tree());
  const store::Manifest manifest = store::ManifestOf(staging.tree());
  wheel.distribution.size = manifest.bytes;
  const store::Lease make = store.Make(store::Kind::kWheel, key, cancel);
  store::EntryInfo info;
  info.kind = store::Kind::kWheel;
  info.key = key;
  info.name = wheel.distribution.Label();
  info.meta = nlohmann::json({{"version", 1}, {"filename", wheel.distribution.filename}}).dump();
  info.output = manifest.digest();
  info.bytes = manifest.bytes;
  info.files = manifest.files;
  store.Commit(std::move(staging), std::move(info));
  return wheel;
}

void Copy(int from, int to, uint64_t size, const std::string& path,
          const base::CancelToken* cancel) {
  uint64_t left = size;
  off_t offset = 0;
  while (left > 0) {
    if (cancel != nullptr) cancel->ThrowIfCancelled();
    const ssize_t copied = sendfile(to, from, &offset, std::min(left, kCopyPiece));
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0) base::ThrowErrno("copying wheel `{}`", base::Printable(path));
    if (copied == 0) break;
    left -= static_cast<uint64_t>(copied);
  }
}

}  // namespace

NamedWheel FetchByUrl(store::Store& store, WorkerClient& workers, const std::string& url,
                      const std::optional<base::Digest>& sha256, const NetworkSettings& network,
                      const base::CancelToken* cancel) {
  Distribution distribution = NamedLike(base::FilenameOfUrl(url));
  distribution.url = url;
  if (sha256.has_value()) {
    distribution.sha256 = *sha256;
    NamedWheel wheel{std::move(distribution), store.Use(store::Kind::kWheel, sha256->hex())};
    FetchWheel(store, workers, wheel.distribution, network, cancel);
    return wheel;
  }
  store::Staging staging =
      FetchFile(store, workers,
                {.label = distribution.Label(), .filename = distribution.filename, .url = url},
                network, cancel);
  return Keep(store, std::move(staging), std::move(distribution), cancel);
}

std::optional<NamedWheel> FindWheel(store::Store& store, const base::Digest& sha256,
                                    const std::optional<Realm>& realm) {
  Distribution wanted;
  wanted.sha256 = sha256;
  wanted.realm = realm;
  const std::string key = wanted.WheelKey();
  store::Lease lease = store.Use(store::Kind::kWheel, key);
  const auto entry = store.Find(store::Kind::kWheel, key);
  if (!entry.has_value()) return std::nullopt;
  NamedWheel wheel{NamedLike(WheelFile(*entry)), std::move(lease)};
  wheel.distribution.sha256 = sha256;
  wheel.distribution.realm = realm;
  wheel.distribution.size = entry->bytes;
  return wheel;
}

NamedWheel TakeWheel(store::Store& store, int file, const std::string& path,
                     const std::optional<Realm>& realm, const base::CancelToken* cancel) {
  Distribution distribution = NamedLike(path.substr(path.rfind('/') + 1));
  distribution.realm = realm;
  struct stat info;
  if (fstat(file, &info) < 0) base::ThrowErrno("looking at `{}`", base::Printable(path));
  if (!S_ISREG(info.st_mode) || static_cast<uint64_t>(info.st_size) > kWheelLimit) {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("reading wheel `{}`", base::Printable(path)))
        .Because("it is no regular file, or larger than 8 GiB");
  }
  store::Staging staging = store.NewStaging();
  {
    const base::UniqueFd copy =
        base::OpenAt(staging.tree(), distribution.filename, O_WRONLY | O_CREAT | O_EXCL, 0644);
    Copy(file, copy.get(), static_cast<uint64_t>(info.st_size), path, cancel);
  }
  return Keep(store, std::move(staging), std::move(distribution), cancel);
}

}  // namespace rundlet::rootfs
