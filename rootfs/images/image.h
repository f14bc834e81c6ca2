// Images: what rundlet knows of each, by name, and how one becomes the root of a sandbox.
//
// A record is a file images/<name>.json of the state directory, of our own schema; the layers are
// entries of the store. Removing a record leaves the layers to the store's garbage collection. All
// functions throw base::Error.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/digest.h"
#include "base/fd.h"
#include "rootfs/formats/interpreter.h"
#include "rootfs/formats/oci.h"
#include "rootfs/images/blob.h"
#include "rootfs/images/layer.h"
#include "rootfs/worker_client.h"
#include "runtime/spec/mount_plan.h"
#include "store/store.h"

namespace rundlet::rootfs {

// Where a pulled image came from: what is compared to know whether there is anything new.
struct ImageOrigin {
  std::string reference;
  base::Digest top;      // of the manifest or index that the reference names
  std::string platform;  // "linux/amd64"
  bool operator==(const ImageOrigin&) const = default;
};

// What of an image is in the store as it came, for an export.
struct KeptBlobs {
  std::string manifest_type;        // the manifest's media type
  std::vector<base::Digest> blobs;  // the manifest, the config, each layer once
  bool operator==(const KeptBlobs&) const = default;
};

struct Image {
  std::string name;
  // Of the image's manifest; for docker's archives, which have none, of its config (docker's "image
  // id").
  base::Digest manifest_digest;
  std::vector<base::Digest>
      layers;  // diff ids, bottom first; only those of which something shows through
  ImageConfig config;
  std::optional<ImageOrigin> origin;  // of a pulled image
  std::optional<KeptBlobs> kept;
  Interpreter interpreter;  // all empty until it was probed
  bool operator==(const Image&) const = default;
};

// The identity of its interpreter, which keys all that is made with its help and kept: over the
// whole image, because which of its files take part when its Python starts cannot be told from
// outside (ADR 68).
base::Digest InterpreterIdentity(const Image& image);

// Refuses a name that is not of the form [a-z0-9][A-Za-z0-9._/:@-]*, at most 200 bytes.
void CheckImageName(std::string_view name);

// An image whose layers are in the store, kept there while this lives. Save the image before
// letting go.
struct ImportedImage {
  Image image;
  std::vector<store::Lease> leases;
};

struct ImportProgress {
  size_t layer = 0;  // its number from the bottom, from 0
  size_t layers = 0;
  base::Digest diff_id;
  LayerState state = LayerState::kPresent;
  uint64_t done = 0;  // bytes of the layer's blob
  uint64_t total = 0;
};
// Called from several threads, one at a time.
using ImportProgressCallback = std::function<void(const ImportProgress&)>;

// Takes an image from an OCI image layout (an open directory), or from a tar archive of one, or
// from what `docker save` writes (an open regular file, plain, gzip or zstd). The image for this
// host's platform is chosen; its name also chooses when there are several. Layers that the store
// lacks are unpacked, two at a time: `worker` is used from two threads at once. The interpreter
// stays empty and nothing is saved. Throws base::Error, base::Cancelled.
struct ImportRequest {
  std::string name;
  base::UniqueFd source;  // opened by whoever asked, with their rights
  KeepBlobs keep = KeepBlobs::kNo;
};
ImportedImage ImportImage(store::Store& store, WorkerClient& worker, ImportRequest request,
                          const ImportProgressCallback& progress, const base::CancelToken* cancel);

// Takes an image from a registry. Its layers are unpacked while they are fetched, several at a
// time: `worker` is used from several threads at once. When `known` is what the registry has, and
// all that is wanted is there, that is all that is asked. Otherwise as ImportImage.
struct PullWish {
  Platform platform;
  std::optional<Image> known;
  KeepBlobs keep = KeepBlobs::kNo;
};
enum class PullResult { kUnchanged, kNew };
struct PulledImage {
  ImportedImage imported;
  PullResult result = PullResult::kNew;
};
struct RegistryAccess;
PulledImage PullImage(store::Store& store, WorkerClient& worker, const RegistryAccess& access,
                      const PullWish& wish, const ImportProgressCallback& progress,
                      const base::CancelToken* cancel);

// The record's text, and back: `name` is what the record must say. Throws base::Error (kHost).
std::string EncodeImage(const Image& image);
Image DecodeImage(const std::string& text, const std::string& name);

// Creates or atomically replaces the record; it survives a power cut.
void SaveImage(store::Store& store, const Image& image);
// An image that is not there is an error (kInvalid) that names the closest or all there are.
Image FindImage(store::Store& store, const std::string& name);
std::optional<Image> TryFindImage(store::Store& store, const std::string& name);
std::vector<Image> ListImages(store::Store& store);  // by name
void RemoveImage(store::Store& store, const std::string& name);
// One more name for an image; a name that is taken is given to this one.
void TagImage(store::Store& store, const std::string& name, const std::string& other);

// The root of a sandbox made from the image: its layers under the skeleton with a writable layer on
// top, /proc, /dev, and scratch at /tmp.
std::vector<runtime::Mount> ImageMounts(const Image& image, const std::string& skeleton_key,
                                        runtime::ProcView proc);
// The same layers read-only and without the skeleton, which is not the image's, at /image: for a
// worker that looks at them.
runtime::Mount BareImageMount(const Image& image);

}  // namespace rundlet::rootfs
