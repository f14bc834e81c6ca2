// Manifests and blobs of one repository of a registry, fetched by workers (OCI distribution
// specification, and docker's registry API v2 before it).
#pragma once

#include <mutex>
#include <string>

#include "base/cancel.h"
#include "base/digest.h"
#include "base/fd.h"
#include "rootfs/formats/oci.h"
#include "rootfs/formats/reference.h"
#include "rootfs/formats/registry_login.h"
#include "rootfs/images/blob.h"
#include "rootfs/images/layer.h"
#include "rootfs/net/fetch.h"
#include "rootfs/worker_client.h"

namespace rundlet::rootfs {

struct RegistryAccess {
  std::string image;    // what it is called here, from whatever registry it comes
  Reference reference;  // what that registry calls it
  RegistryTransport transport = RegistryTransport::kHttps;
  RegistryLogin login;
  NetworkSettings network;  // the registry's host among its private hosts
};

// "https://registry-1.docker.io"
std::string RegistryUrl(const RegistryAccess& access);

// A document that arrived whole, in memory.
struct FetchedDocument {
  base::UniqueFd file;
  Descriptor descriptor;  // media type and digest: the descriptor's, or what the registry said
  FileRange range() const { return {file.get(), 0, descriptor.size}; }
};

// Borrows access and worker. Thread safety: may be used from several threads. All functions throw
// base::Error (kHost: network, registry; kInvalid: other bytes than the descriptor says),
// Cancelled.
class Registry {
 public:
  Registry(const RegistryAccess& access, WorkerClient& worker) : access_(access), worker_(worker) {}

  // What the reference names: by digest when it has one.
  FetchedDocument FetchTop(const base::CancelToken* cancel);
  FetchedDocument FetchManifest(const Descriptor& descriptor, const base::CancelToken* cancel);
  FetchedDocument FetchConfig(const Descriptor& descriptor, const base::CancelToken* cancel);
  // The bytes of a layer, which go on from what an earlier pull left of them. Kept in the store, if
  // wanted, when they all came. The stream borrows this registry and the store.
  BlobStream StreamOf(const Descriptor& descriptor, store::Store& store, KeepBlobs keep);

 private:
  struct Wanted {
    std::string path;  // below the repository
    std::string accept;
    uint64_t size = 0;  // 0: not known
    uint64_t limit = 0;
    std::string sha256;               // hex; empty: not known
    int copy = -1;                    // a file that gets the bytes, too, from its end on
    KeepBlobs keep = KeepBlobs::kNo;  // whether the copy is needed
  };
  struct Answer {
    base::Digest digest;
    uint64_t size = 0;
    std::string media_type;
  };
  Answer Get(const Wanted& wanted, int fd, const ProgressCallback& progress,
             const base::CancelToken* cancel);
  FetchedDocument GetDocument(const Wanted& wanted, const base::CancelToken* cancel);

  const RegistryAccess& access_;
  WorkerClient& worker_;
  std::mutex mutex_;
  std::string token_;  // of the latest login
};

}  // namespace rundlet::rootfs
