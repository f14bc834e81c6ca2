// The package index as one sandbox sees it: read-only, from outside of the sandbox, on a socket of
// its network namespace. Who asks is hostile, and so is what the index sends.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <semaphore>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/worker/command.h"
#include "rootfs/worker/http/fetch.h"
#include "rootfs/worker/http/index_get.h"
#include "rootfs/worker/servers/connection.h"
#include "rootfs/worker/servers/mirror_page.h"
#include "rootfs/worker/servers/mirror_request.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kMostFiles = 200'000;  // that pages named
constexpr ptrdiff_t kMostPages = 16;    // fetched and read at once
constexpr uint64_t kMetadataLimit = uint64_t{16} << 20;
constexpr size_t kHeldBack = size_t{256} * 1024;  // of a file, until all of it is known to be right
constexpr size_t kMaxReason = 300;

struct MirroredFile {
  std::string url;
  base::Digest sha256;
  uint64_t size = 0;  // 0: not said
  uint64_t limit = kServedFileLimit;
};

// What may be asked for: the files that the pages served so far have named. Thread safety: may be
// used from several threads.
class MirroredFiles {
 public:
  void Add(const std::vector<IndexFile>& files) {
    const std::lock_guard guard(mutex_);
    for (const IndexFile& file : files) {
      if (!IsMirroredName(file.filename)) continue;
      Name(MirrorPath(file.sha256, file.filename),
           {.url = file.url, .sha256 = file.sha256, .size = file.size});
      if (!file.metadata.has_value()) continue;
      Name(MirrorPath(file.sha256, file.filename + ".metadata"),
           {.url = file.url + ".metadata", .sha256 = *file.metadata, .limit = kMetadataLimit});
    }
  }
  std::optional<MirroredFile> Find(const std::string& path) {
    const std::lock_guard guard(mutex_);
    const auto found = files_.find(path);
    return found == files_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  void Name(std::string path, MirroredFile file) {
    if (files_.size() >= kMostFiles && !files_.contains(path))
      throw Refusal{503, "the pages of this sandbox have named too many files"};
    files_.insert_or_assign(std::move(path), std::move(file));
  }

  std::mutex mutex_;
  std::map<std::string, MirroredFile> files_;
};

struct Mirror {
  std::string index;
  HttpSettings settings;
  MirroredFiles files;
  std::counting_semaphore<kMostPages> pages{kMostPages};
};

// `length` 0: not known, for HEAD.
std::string HeadOf(std::string_view type, uint64_t length) {
  const std::string size = length != 0 ? fmt::format("Content-Length: {}\r\n", length) : "";
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\n{}Connection: close\r\n\r\n", type,
                     size);
}

std::string FileHead(uint64_t length) { return HeadOf("application/octet-stream", length); }

// Passes a file on while it arrives. Its end is sent once its digest is known to be the page's: of
// other bytes nobody ever has a whole file.
class FileStream : public HttpTarget {
 public:
  FileStream(int client, const MirroredFile& file) : client_(client), file_(file) {}

  uint64_t ResumeFrom() override { return received_; }
  std::optional<std::string> Begin(const Start& start) override {
    if (start.offset != received_) return "the index does not go on with a broken download";
    if (file_.size != 0 && start.total != 0 && start.total != file_.size) {
      return fmt::format("the index sends {} bytes, its page says {}", start.total, file_.size);
    }
    total_ = file_.size != 0 ? file_.size : start.total;
    if (total_ == 0) return "the index does not say how long the file is";
    if (total_ > file_.limit)
      return fmt::format("it is larger than {}", base::HumanBytes(file_.limit));
    return std::nullopt;
  }
  std::optional<std::string> Take(std::span<const std::byte> piece) override {
    if (piece.size() > total_ - received_) return "the index sends more than it said";
    received_ += piece.size();
    hash_.Add(piece);
    held_.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    if (held_.size() <= 2 * kHeldBack || Pass(held_.size() - kHeldBack)) return std::nullopt;
    return "the sandbox does not take it";
  }
  std::optional<HttpFailure> Complete() override {
    if (received_ < total_) {
      return HttpFailure{
          .cause = fmt::format("the download ended after {} of {} bytes", received_, total_),
          .again = true};
    }
    if (const base::Digest digest = hash_.Finish();
        digest != file_.sha256 && base::Holds(base::Wall::kMirroredBytes)) {
      return HttpFailure{
          fmt::format("its sha256 is {}, the page says {}", digest.hex(), file_.sha256.hex())};
    }
    Pass(held_.size());
    return std::nullopt;
  }
  void Failed(const HttpFailure& failure) override { failure_ = failure; }

  const std::optional<HttpFailure>& failure() const { return failure_; }
  bool begun() const { return begun_; }  // something was sent

 private:
  bool Pass(size_t size) {
    const std::string head = begun_ ? std::string() : FileHead(total_);
    begun_ = true;
    const bool sent = Send(client_, head) && Send(client_, std::string_view(held_).substr(0, size));
    held_.erase(0, size);
    return sent;
  }

  const int client_;
  const MirroredFile& file_;
  base::Sha256 hash_;
  std::string held_;
  uint64_t received_ = 0;
  uint64_t total_ = 0;
  bool begun_ = false;
  std::optional<HttpFailure> failure_;
};

// Something that the index did not give.
Refusal Failure(const std::string& what, const HttpFailure& failure) {
  if (failure.status == 404) return {404, fmt::format("the index has no {}", what)};
  return {502, fmt::format("asking the index for {}: {}", what, failure.cause)};
}

void ServePage(int client, const MirrorRequest& request, Mirror& mirror) {
  std::string page;
  {
    mirror.pages.acquire();
    const auto release = [](Mirror* one) { one->pages.release(); };
    const std::unique_ptr<Mirror, decltype(release)> held(&mirror, release);
    const IndexAnswer answer = GetIndexPage(mirror.settings, mirror.index, request.project);
    if (answer.failure.has_value())
      throw Failure(fmt::format("`{}`", request.project), *answer.failure);
    mirror.files.Add(answer.files);
    page = MirrorPage(answer.files);
  }
  if (Send(client, HeadOf("text/html; charset=utf-8", page.size())) && request.body)
    Send(client, page);
}

void ServeFile(int client, const MirrorRequest& request, Mirror& mirror) {
  const std::optional<MirroredFile> file = mirror.files.Find(request.file);
  if (!file.has_value()) throw Refusal{404, "no page that was served here names this file"};
  if (!request.body) {
    Send(client, FileHead(file->size));
    return;
  }
  FileStream stream(client, *file);
  try {
    RunHttp(mirror.settings, {{.url = file->url, .target = &stream}});
  } catch (const base::Error&) {
    if (!stream.begun()) throw;
    throw Refusal{};
  }
  if (!stream.failure().has_value()) return;
  // What was begun ends too early, and the client can see that.
  throw stream.begun() ? Refusal{} : Failure("this file", *stream.failure());
}

void Answer(int client, const Refusal& refusal) {
  // The reason stands in the first line, which is what most clients show.
  std::string reason = refusal.reason.substr(0, kMaxReason);
  std::replace_if(
      reason.begin(), reason.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  WriteAll(client,
           fmt::format("HTTP/1.1 {} {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                       refusal.status, reason),
           Clock::now() + kHeadTime);
  Linger(client);
}

void Serve(const base::UniqueFd& client, Mirror& mirror) {
  Refusal refusal;
  try {
    std::string bytes;
    const size_t length = ReadHead(client.get(), bytes);
    const MirrorRequest request = ReadMirrorRequest(std::string_view(bytes).substr(0, length));
    if (request.status != 200) throw Refusal{request.status, request.reason};
    request.project.empty() ? ServeFile(client.get(), request, mirror)
                            : ServePage(client.get(), request, mirror);
  } catch (const Refusal& one) {
    refusal = one;
  } catch (const std::exception& error) {
    // A page that is none, say, or no memory for it.
    refusal = {502, fmt::format("asking the index: {}", error.what())};
  }
  if (refusal.status != 0) Answer(client.get(), refusal);
}

}  // namespace

// Request: {"index"} and the fields of ReadHttpSettings; the first file is the socket. Never
// answers: it serves until it is killed.
nlohmann::json ServeMirror(const nlohmann::json& request) {
  Mirror mirror;
  mirror.index = request.at("index");
  mirror.settings = ReadHttpSettings(request);
  ServeConnections(kFirstFile, [&mirror](base::UniqueFd client) { Serve(client, mirror); });
}

}  // namespace rundlet::rootfs::worker
