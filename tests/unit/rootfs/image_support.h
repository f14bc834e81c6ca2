// For tests of images: tar archives byte by byte, image layouts, temporary directories, a worker
// without a sandbox.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "rootfs/worker/archives/tar_reader.h"
#include "rootfs/worker_client.h"
#include "store/store.h"

namespace rundlet::rootfs::testing {

// One archive, entry after entry. Owners are the caller's own, so that no privilege is needed to
// unpack it.
class TarBuilder {
 public:
  struct Options {
    uint32_t mode = 0644;
    int64_t mtime = 1'000'000'000;
    int64_t uid = -1;  // -1: the caller's
    std::vector<std::pair<std::string, std::string>> pax;
  };
  TarBuilder& File(const std::string& path, std::string_view content, const Options& options);
  TarBuilder& File(const std::string& path, std::string_view content) {
    return File(path, content, Options());
  }
  TarBuilder& Dir(const std::string& path, uint32_t mode = 0755);
  TarBuilder& Symlink(const std::string& path, const std::string& target);
  TarBuilder& HardLink(const std::string& path, const std::string& target);
  // Any header: `size` is what it states, `body` what follows it.
  TarBuilder& Raw(char type, const std::string& path, const std::string& link, uint64_t size,
                  std::string_view body);
  TarBuilder& Raw(char type, const std::string& path, const std::string& link, uint64_t size,
                  std::string_view body, const Options& options);
  TarBuilder& Pax(const std::vector<std::pair<std::string, std::string>>& records, char type = 'x');
  TarBuilder& Bytes(std::string_view bytes);
  // With the two blocks of zeros at its end.
  std::string Finish() const { return bytes_ + std::string(1024, '\0'); }
  const std::string& unfinished() const { return bytes_; }

 private:
  std::string bytes_;
};

std::string Gzip(std::string_view bytes);
std::string Zstd(std::string_view bytes);

class MemorySource : public worker::ByteSource {
 public:
  // Gives out `chunk` bytes at a time.
  explicit MemorySource(std::string_view bytes, size_t chunk = 1000)
      : bytes_(bytes), chunk_(chunk) {}
  std::span<const std::byte> Next() override;

 private:
  std::string_view bytes_;
  size_t chunk_;
};

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  void Write(const std::string& path, std::string_view bytes) const;  // with missing parents

 private:
  std::string path_;
  base::UniqueFd fd_;
};

// An OCI image layout: name -> bytes. Each step may be changed before the next is made of it.
class LayoutBuilder {
 public:
  struct Layer {
    std::string tar;
    std::string media_type = "application/vnd.oci.image.layer.v1.tar";
    std::string blob = {};  // empty: the tar itself
  };
  std::vector<Layer> layers;
  std::string architecture;  // this host's
  std::string ref_name = "test";
  LayoutBuilder();
  LayoutBuilder& Add(std::string tar);
  LayoutBuilder& AddCompressed(std::string tar, std::string blob, const std::string& compression);

  std::map<std::string, std::string> Finish() const;
};
// `bytes` under its digest; returns a descriptor as JSON text.
std::string AddBlob(std::map<std::string, std::string>& files, const std::string& bytes,
                    const std::string& media_type);
void WriteTo(const TemporaryDirectory& directory, const std::map<std::string, std::string>& files);
std::string TarOf(const std::map<std::string, std::string>& files);

// Runs a job's command in this process, on the store's own directories.
class InProcessWorker : public WorkerClient {
 public:
  explicit InProcessWorker(const store::Store& store) : store_(store) {}
  std::string Run(const WorkerJob& job, const ProgressCallback& progress,
                  const base::CancelToken* cancel) override;
  std::vector<std::string> commands() const;  // that ran, in order
  // Changes an answer, as a worker that was taken over would.
  std::function<std::string(std::string)> tamper;

 private:
  base::UniqueFd OpenTarget(const WorkerJob& job) const;

  const store::Store& store_;
  mutable std::mutex mutex_;
  std::vector<std::string> commands_;
};

}  // namespace rundlet::rootfs::testing
