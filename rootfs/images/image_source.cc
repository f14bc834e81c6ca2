#include "rootfs/images/image_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/json/fields.h"
#include "rootfs/formats/layer_path.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::json;

constexpr size_t kMembers = 100'000;

struct stat Look(int fd) {
  struct stat info;
  if (fstat(fd, &info) < 0) base::ThrowErrno("looking at the image's source");
  return info;
}

// gzip or zstd. Only what decides whether the worker gets a directory to write to.
bool IsCompressed(int fd) {
  std::array<unsigned char, 4> magic{};
  const ssize_t count = pread(fd, magic.data(), magic.size(), 0);
  if (count < 0) base::ThrowErrno("reading the image's source");
  const bool gzip = magic[0] == 0x1f && magic[1] == 0x8b && magic[2] == 0x08;
  const bool skippable =
      magic[0] >> 4 == 5 && magic[1] == 0x2a && magic[2] == 0x4d && magic[3] == 0x18;
  return gzip || skippable || magic == std::array<unsigned char, 4>{0x28, 0xb5, 0x2f, 0xfd};
}

}  // namespace

ImageSource::ImageSource(store::Store& store, WorkerClient& worker, base::UniqueFd source,
                         const base::CancelToken* cancel)
    : source_(std::move(source)) {
  const struct stat info = Look(source_.get());
  if (S_ISDIR(info.st_mode)) {
    directory_ = true;
  } else if (S_ISREG(info.st_mode)) {
    ReadArchive(store, worker, static_cast<uint64_t>(info.st_size), cancel);
  } else {
    throw base::Error(base::Fault::kInvalid, "opening the image's source")
        .Because("it is neither a directory nor a regular file");
  }
}

void ImageSource::ReadArchive(store::Store& store, WorkerClient& worker, uint64_t size,
                              const base::CancelToken* cancel) {
  const bool compressed = IsCompressed(source_.get());
  WorkerJob job;
  job.command = "split-archive";
  job.request = json{{"size", size}, {"decompress", compressed}}.dump();
  job.files = {source_.get()};
  if (compressed) {
    staging_ = store.NewStaging();
    job.mounts = {{"/out", runtime::StorePath{staging_->tree_path(), true, true}}};
    job.privilege = runtime::Privilege::kUnpacker;  // the staging directory is root's
  }
  const std::string answer = worker.Run(
      job, [](const WorkerProgress&) {}, cancel);
  int fd = source_.get();
  if (compressed) {
    decompressed_ = base::OpenAt(staging_->tree(), "archive", O_RDONLY | O_NONBLOCK);
    const struct stat info = Look(decompressed_.get());
    if (!S_ISREG(info.st_mode)) {
      throw base::Error(base::Fault::kInvalid, "decompressing an archive")
          .Because("worker `split-archive` made no file");
    }
    fd = decompressed_.get();
    size = static_cast<uint64_t>(info.st_size);
  }

  const base::DocumentOrigin origin = base::AnswerOf(job.command);
  const json value = base::ParseJson(answer, origin);
  for (const json& element : base::Fields(value, origin).List("members", kMembers)) {
    const base::Fields member(element, origin);
    const auto path = DecodePath(member.Text("path", size_t{3} * PATH_MAX));
    const FileRange range{fd, member.Number("offset"), member.Number("size")};
    if (!path || range.offset > size || range.size > size - range.offset) {
      throw member.Refuse("a member lies outside the archive");
    }
    members_[*path] = range;
  }
}

std::optional<FileRange> ImageSource::Find(const std::string& path) {
  if (const auto found = members_.find(path); found != members_.end()) return found->second;
  if (!directory_ || !base::IsPlainRelative(path)) return std::nullopt;
  // O_NONBLOCK: a fifo in the place of a file must not hold us up.
  std::optional<base::UniqueFd> file =
      base::TryOpenAt(source_.get(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) return std::nullopt;
  const struct stat info = Look(file->get());
  if (!S_ISREG(info.st_mode)) {
    throw base::Error(base::Fault::kInvalid, fmt::format("opening `{}`", path))
        .Because("it is no regular file");
  }
  const FileRange range{file->get(), 0, static_cast<uint64_t>(info.st_size)};
  opened_[path] = std::move(*file);
  members_[path] = range;
  return range;
}

}  // namespace rundlet::rootfs
