#include "rootfs/images/registry.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/json/fields.h"
#include "base/text.h"
#include "rootfs/images/blob_download.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::json;

constexpr const char* kManifestTypes =
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json";
constexpr size_t kTokenLimit = size_t{64} << 10;

std::string DigestPath(const char* folder, const base::Digest& digest) {
  return fmt::format("{}/sha256:{}", folder, digest.hex());
}

}  // namespace

std::string RegistryUrl(const RegistryAccess& access) {
  const bool plain = access.transport == RegistryTransport::kPlainHttp;
  return fmt::format("{}://{}", plain ? "http" : "https", ApiHost(access.reference));
}

Registry::Answer Registry::Get(const Wanted& wanted, int fd, const ProgressCallback& progress,
                               const base::CancelToken* cancel) {
  const std::string& repository = access_.reference.repository;
  WorkerJob job;
  job.command = "registry-get";
  json request = {
      {"url", fmt::format("{}/v2/{}/{}", RegistryUrl(access_), repository, wanted.path)},
      {"accept", wanted.accept},
      {"scope", fmt::format("repository:{}:pull", repository)},
      {"user", access_.login.user},
      {"password", access_.login.password},
      {"identity_token", access_.login.identity_token},
      {"plain_http", access_.transport == RegistryTransport::kPlainHttp},
      {"size", wanted.size},
      {"limit", wanted.limit},
      {"sha256", wanted.sha256},
      {"copy", wanted.copy < 0                  ? "none"
               : wanted.keep == KeepBlobs::kYes ? "needed"
                                                : "if-there-is-room"}};
  {
    const std::lock_guard lock(mutex_);
    request["token"] = token_;
  }
  job.request = request.dump();
  job.files = {fd};
  if (wanted.copy >= 0) job.files.push_back(wanted.copy);
  AddNetwork(access_.network, job);
  const base::DocumentOrigin origin = base::AnswerOf(job.command);
  const json value = base::ParseJson(worker_.Run(job, progress, cancel), origin);
  const base::Fields fields(value, origin);
  {
    const std::lock_guard lock(mutex_);
    token_ = fields.TextOrEmpty("token", kTokenLimit);
  }
  return {fields.DigestAt("sha256"), fields.Number("size"), fields.TextOrEmpty("media_type", 8192)};
}

FetchedDocument Registry::GetDocument(const Wanted& wanted, const base::CancelToken* cancel) {
  FetchedDocument document;
  document.file = base::MemoryFile("document", "");
  const Answer answer = Get(
      wanted, document.file.get(), [](const WorkerProgress&) {}, cancel);
  document.descriptor.media_type = answer.media_type;
  // Who reads it compares it with what was asked for, not with what the fetcher says.
  document.descriptor.digest = base::Digest::Parse(wanted.sha256).value_or(answer.digest);
  document.descriptor.size = answer.size;
  return document;
}

FetchedDocument Registry::FetchTop(const base::CancelToken* cancel) {
  const Reference& reference = access_.reference;
  Wanted wanted;
  wanted.path =
      reference.digest ? DigestPath("manifests", *reference.digest) : "manifests/" + reference.tag;
  wanted.accept = kManifestTypes;
  wanted.limit = kMaxDocument;
  if (reference.digest) wanted.sha256 = reference.digest->hex();
  FetchedDocument document = GetDocument(wanted, cancel);
  const DocumentKind kind = KindOfMediaType(document.descriptor.media_type);
  if (kind != DocumentKind::kIndex && kind != DocumentKind::kManifest) {
    throw base::Error(base::Fault::kInvalid, "reading the image's manifest")
        .Because(fmt::format("the registry sends `{}`, which is no manifest of an image",
                             base::Printable(document.descriptor.media_type.substr(0, 100))));
  }
  return document;
}

FetchedDocument Registry::FetchManifest(const Descriptor& descriptor,
                                        const base::CancelToken* cancel) {
  FetchedDocument document = GetDocument({.path = DigestPath("manifests", descriptor.digest),
                                          .accept = kManifestTypes,
                                          .size = descriptor.size,
                                          .limit = kMaxDocument,
                                          .sha256 = descriptor.digest.hex()},
                                         cancel);
  if (document.descriptor.media_type != descriptor.media_type) {
    throw base::Error(base::Fault::kInvalid, "reading the image's manifest")
        .Because(fmt::format("the registry sends `{}`, its index says `{}`",
                             base::Printable(document.descriptor.media_type.substr(0, 100)),
                             base::Printable(descriptor.media_type)));
  }
  return document;
}

FetchedDocument Registry::FetchConfig(const Descriptor& descriptor,
                                      const base::CancelToken* cancel) {
  FetchedDocument document = GetDocument({.path = DigestPath("blobs", descriptor.digest),
                                          .accept = "*/*",
                                          .size = descriptor.size,
                                          .limit = kMaxDocument,
                                          .sha256 = descriptor.digest.hex()},
                                         cancel);
  // Blobs are served as bytes; only the descriptor says what they are.
  document.descriptor.media_type = descriptor.media_type;
  return document;
}

BlobStream Registry::StreamOf(const Descriptor& descriptor, store::Store& store, KeepBlobs keep) {
  return [this, descriptor, &store, keep](int pipe, const ProgressCallback& progress,
                                          const base::CancelToken* cancel) {
    const BlobDownload download(store, descriptor, keep, cancel);
    try {
      Get({.path = DigestPath("blobs", descriptor.digest),
           .accept = "*/*",
           .size = descriptor.size,
           .limit = descriptor.size,
           .sha256 = descriptor.digest.hex(),
           .copy = download.file(),
           .keep = keep},
          pipe, progress, cancel);
    } catch (base::Error& error) {
      if (error.fault() == base::Fault::kInvalid && download.had() != 0) {
        error.SetHint("what an earlier pull had left of it is dropped: pull again");
      }
      throw;
    }
    if (keep == KeepBlobs::kNo) return;
    const std::string label = fmt::format("blob of {}", access_.image);
    KeepBlob(store, {download.file(), 0, descriptor.size}, {descriptor.digest, label}, cancel);
  };
}

}  // namespace rundlet::rootfs
