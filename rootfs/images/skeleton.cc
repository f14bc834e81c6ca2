#include "rootfs/images/skeleton.h"

#include <fcntl.h>

#include <array>
#include <string_view>
#include <utility>

#include "base/digest.h"
#include "base/error.h"
#include "base/fs.h"

namespace rundlet::rootfs {
namespace {

using store::Kind;

constexpr std::array<std::string_view, 13> kDirectories = {
    "proc",
    "dev",
    "sys",
    "tmp",
    "run",
    "env",
    "work",
    "out",
    "etc",
    "image",
    "rundlet/python",
    "rundlet/in",
    "rundlet/out",
};

struct File {
  std::string_view path;
  std::string_view text;
};
constexpr std::array<File, 6> kFiles = {{
    {"etc/passwd",
     "root:x:0:0:root:/root:/bin/sh\n"
     "step:x:1000:1000:step:/tmp/home:/bin/sh\n"
     "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
    {"etc/group",
     "root:x:0:\n"
     "step:x:1000:\n"
     "nogroup:x:65534:\n"},
    {"etc/hosts",
     "127.0.0.1\tlocalhost rundlet\n"
     "::1\tlocalhost ip6-localhost ip6-loopback\n"},
    {"etc/hostname", "rundlet\n"},
    {"etc/resolv.conf", ""},
    {"etc/nsswitch.conf",
     "passwd: files\n"
     "group: files\n"
     "shadow: files\n"
     "hosts: files dns\n"
     "networks: files\n"
     "protocols: files\n"
     "services: files\n"},
}};

void Make(store::Store& store, const std::string& key) {
  store::Staging staging = store.NewStaging();
  for (const std::string_view directory : kDirectories) {
    base::MakeDirs(staging.tree(), std::string(directory));
  }
  for (const File& file : kFiles) {
    base::ReplaceAt(staging.tree(), std::string(file.path), file.text, 0444,
                    base::Durability::kNone);
  }
  store::Normalise(staging.tree());
  const store::Manifest manifest = store::ManifestOf(staging.tree());
  store::EntryInfo info;
  info.kind = Kind::kSkeleton;
  info.key = key;
  info.name = "skeleton of image roots";
  info.meta = R"({"version":1})";
  info.output = manifest.digest();
  info.bytes = manifest.bytes;
  info.files = manifest.files;
  store.Commit(std::move(staging), std::move(info));
}

}  // namespace

// Other content is another skeleton.
std::string SkeletonKey() {
  base::Sha256 hash;
  hash.AddField("rundlet skeleton 1");
  for (const std::string_view directory : kDirectories) hash.AddField(directory);
  for (const File& file : kFiles) {
    hash.AddField(file.path);
    hash.AddField(file.text);
  }
  return hash.Finish().hex();
}

HeldSkeleton EnsureSkeleton(store::Store& store) {
  std::string key = SkeletonKey();
  store::Lease use = store.Use(Kind::kSkeleton, key);
  if (!store.Find(Kind::kSkeleton, key)) {
    const store::Lease make = store.Make(Kind::kSkeleton, key, nullptr);
    if (!store.Find(Kind::kSkeleton, key)) Make(store, key);
  }
  return {std::move(key), std::move(use)};
}

}  // namespace rundlet::rootfs
