// For tests of wheels: zip archives byte by byte, small wheels, a worker without a sandbox.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rootfs/formats/distribution.h"
#include "rootfs/worker_client.h"
#include "store/store.h"

namespace rundlet::rootfs::testing {

// One entry of an archive. What it states may be wrong: the fields are written as they are.
struct ZipMember {
  std::string name = {};
  std::string content = {};
  uint32_t mode = 0100644;
  bool deflate = false;
  bool descriptor = false;  // sizes after the data, not before it
  uint16_t flags = 0;       // added to what the other fields ask for
  std::string extra = {};   // extra field of the central directory
  // Differences of the local header.
  std::string local_name = {};  // empty: the same
  int local_size_error = 0;
  // Differences of both.
  uint32_t crc_error = 0;
  int64_t size_error = 0;
};

struct ZipFile {
  std::vector<ZipMember> members = {};
  std::string before = {};   // the first local header
  std::string between = {};  // each two entries
  std::string after = {};    // the end
  std::string comment = {};

  std::string Bytes() const;
};

// A wheel of `files` (paths in the archive) with METADATA, WHEEL and a right RECORD.
struct WheelBuilder {
  std::string name = "demo";
  std::string version = "1.0";
  std::map<std::string, std::string> files;
  std::vector<std::string> executable;
  std::string wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
  std::string metadata;               // empty: a right one
  std::string record;                 // empty: a right one
  std::vector<std::string> unlisted;  // left out of RECORD
  std::string more_record;            // added to RECORD

  std::string Stem() const { return name + "-" + version; }
  std::string Bytes() const;
  // As a lock would have it.
  Distribution Locked() const;
};

// Puts a wheel into the store, as FetchWheels would.
void PutWheel(store::Store& store, const Distribution& distribution, const std::string& bytes);

// The package entry of a wheel that is in the store, for Python 3.11; made when it is not there.
store::EntryInfo InstallPackage(store::Store& store, WorkerClient& worker,
                                const Distribution& distribution);

// Runs "install-wheel" and "parse-toml" in this process, "fetch" from `offered` (URL -> bytes).
class PackageWorker : public WorkerClient {
 public:
  explicit PackageWorker(const store::Store& store) : store_(store) {}
  std::string Run(const WorkerJob& job, const ProgressCallback& progress,
                  const base::CancelToken* cancel) override;

  std::map<std::string, std::string> offered;
  std::vector<std::string> commands;  // that ran, in order
  // What a worker that was taken over would do after the real one: changes the tree at /out (a
  // descriptor) or the answer.
  std::function<void(int)> tamper_tree;
  std::function<std::string(std::string)> tamper_answer;

 private:
  std::string Install(const WorkerJob& job) const;
  std::string Fetch(const WorkerJob& job) const;

  const store::Store& store_;
};

}  // namespace rundlet::rootfs::testing
