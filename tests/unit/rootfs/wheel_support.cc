#include "wheel_support.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"
#include "rootfs/formats/wheel_record.h"
#include "rootfs/packages/package.h"
#include "rootfs/worker/command.h"
#include "rootfs/worker/wheels/install_wheel.h"
#include "rootfs/worker/wheels/parse_toml.h"

namespace rundlet::rootfs::testing {
namespace {

constexpr uint16_t kDescriptorFlag = 1u << 3;
constexpr uint16_t kUtf8Flag = 1u << 11;

template <typename Integer>
void Put(std::string& bytes, Integer value) {
  for (size_t i = 0; i < sizeof value; ++i) {
    bytes += static_cast<char>((static_cast<uint64_t>(value) >> (8 * i)) & 0xff);
  }
}

std::string Deflate(const std::string& content) {
  z_stream stream{};
  RUNDLET_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  RUNDLET_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

// The fields that the local and the central header share, from the flags to the extra field's size.
struct Common {
  uint16_t flags;
  uint16_t method;
  uint32_t crc;
  uint32_t packed;
  uint32_t size;
};

void PutCommon(std::string& bytes, const Common& common, size_t name, size_t extra) {
  Put(bytes, common.flags);
  Put(bytes, common.method);
  Put(bytes, uint32_t{0x00210000});  // 1980-01-01
  Put(bytes, common.crc);
  Put(bytes, common.packed);
  Put(bytes, common.size);
  Put(bytes, static_cast<uint16_t>(name));
  Put(bytes, static_cast<uint16_t>(extra));
}

}  // namespace

std::string ZipFile::Bytes() const {
  std::string bytes = before;
  std::string directory;
  for (const ZipMember& member : members) {
    if (&member != &members.front()) bytes += between;
    const std::string packed = member.deflate ? Deflate(member.content) : member.content;
    const auto crc = static_cast<uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(member.content.data()), member.content.size()));
    const bool ascii = std::all_of(member.name.begin(), member.name.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    const auto flags = static_cast<uint16_t>(
        member.flags | (member.descriptor ? kDescriptorFlag : 0) | (ascii ? 0 : kUtf8Flag));
    const Common common{
        flags, static_cast<uint16_t>(member.deflate ? 8 : 0), crc ^ member.crc_error,
        static_cast<uint32_t>(packed.size()),
        static_cast<uint32_t>(static_cast<int64_t>(member.content.size()) + member.size_error)};
    const auto offset = static_cast<uint32_t>(bytes.size());
    Common local = common;
    if (member.descriptor) local.crc = local.packed = local.size = 0;
    local.size += static_cast<uint32_t>(member.local_size_error);
    const std::string& local_name = member.local_name.empty() ? member.name : member.local_name;
    Put(bytes, uint32_t{0x04034b50});
    Put(bytes, uint16_t{20});
    PutCommon(bytes, local, local_name.size(), 0);
    bytes += local_name + packed;
    if (member.descriptor) {
      Put(bytes, uint32_t{0x08074b50});
      Put(bytes, common.crc);
      Put(bytes, common.packed);
      Put(bytes, common.size);
    }
    Put(directory, uint32_t{0x02014b50});
    Put(directory, uint16_t{0x0314});  // made on Unix
    Put(directory, uint16_t{20});
    PutCommon(directory, common, member.name.size(), member.extra.size());
    Put(directory, uint16_t{0});
    Put(directory, uint16_t{0});
    Put(directory, uint16_t{0});
    Put(directory, member.mode << 16);
    Put(directory, offset);
    directory += member.name + member.extra;
  }
  const auto start = static_cast<uint32_t>(bytes.size());
  bytes += directory;
  Put(bytes, uint32_t{0x06054b50});
  Put(bytes, uint32_t{0});
  Put(bytes, static_cast<uint16_t>(members.size()));
  Put(bytes, static_cast<uint16_t>(members.size()));
  Put(bytes, static_cast<uint32_t>(directory.size()));
  Put(bytes, start);
  Put(bytes, static_cast<uint16_t>(comment.size()));
  return bytes + comment + after;
}

std::string WheelBuilder::Bytes() const {
  const std::string info = Stem() + ".dist-info/";
  std::map<std::string, std::string> all = files;
  all[info + "METADATA"] =
      metadata.empty() ? "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"
                       : metadata;
  all[info + "WHEEL"] = wheel;
  std::vector<RecordRow> rows{{info + "RECORD", std::nullopt, std::nullopt}};
  for (const auto& [path, content] : all) {
    if (std::find(unlisted.begin(), unlisted.end(), path) != unlisted.end()) continue;
    rows.push_back({path, base::Digest::Of(content), content.size()});
  }
  all[info + "RECORD"] = record.empty() ? FormatRecord(std::move(rows)) + more_record : record;
  ZipFile zip;
  for (const auto& [path, content] : all) {
    const bool runs = std::find(executable.begin(), executable.end(), path) != executable.end();
    zip.members.push_back({.name = path,
                           .content = content,
                           .mode = runs ? 0100755u : 0100644u,
                           .deflate = content.size() > 20});
  }
  return zip.Bytes();
}

Distribution WheelBuilder::Locked() const {
  const std::string bytes = Bytes();
  const std::string filename = Stem() + "-py3-none-any.whl";
  return {
      NormaliseName(name),    version, filename, "https://index.example/" + filename, bytes.size(),
      base::Digest::Of(bytes)};
}

void PutWheel(store::Store& store, const Distribution& distribution, const std::string& bytes) {
  store::Staging staging = store.NewStaging();
  const base::UniqueFd file =
      base::OpenAt(staging.tree(), distribution.filename, O_WRONLY | O_CREAT | O_EXCL, 0644);
  base::WriteFd(file.get(), bytes, "a wheel");
  store::EntryInfo info;
  info.kind = store::Kind::kWheel;
  info.key = distribution.sha256.hex();
  info.name = distribution.Label();
  info.meta = nlohmann::json({{"version", 1}, {"filename", distribution.filename}}).dump();
  const store::Lease lease = store.Make(info.kind, info.key, nullptr);
  store.Commit(std::move(staging), std::move(info));
}

store::EntryInfo InstallPackage(store::Store& store, WorkerClient& worker,
                                const Distribution& distribution) {
  const std::string key = PackageKey(distribution, "3.11");
  if (const auto there = store.Find(store::Kind::kPackage, key)) return *there;
  const store::Lease lease = store.Make(store::Kind::kPackage, key, nullptr);
  store::NewEntry made = PreparePackage(store, worker, distribution, "3.11", nullptr);
  store::EntryInfo info = made.info;
  store.Commit(std::move(made.staging), std::move(made.info));
  return info;
}

std::string PackageWorker::Run(const WorkerJob& job, const ProgressCallback& progress,
                               const base::CancelToken* /*cancel*/) {
  commands.push_back(job.command);
  if (progress) progress({0, 1, 2});
  std::string answer;
  if (job.command == "install-wheel") answer = Install(job);
  if (job.command == "fetch") answer = Fetch(job);
  if (job.command == "parse-toml") {
    answer =
        worker::TomlToJson(nlohmann::json::parse(job.request).at("text").get<std::string>()).dump();
  }
  return tamper_answer ? tamper_answer(answer) : answer;
}

std::string PackageWorker::Install(const WorkerJob& job) const {
  const auto request = nlohmann::json::parse(job.request);
  const std::string archive = base::ReadFd(job.files.at(0), size_t{1} << 30, "a wheel");
  const auto& source = std::get<runtime::StorePath>(job.mounts.at(0).source);
  const base::UniqueFd out = base::OpenAt(store_.dir(), source.path, O_RDONLY | O_DIRECTORY);
  const worker::InstallReport report = worker::InstallWheelInto(
      std::as_bytes(std::span(archive)),
      {request.at("name"), request.at("version"), request.at("python_tag")}, out.get());
  if (tamper_tree) tamper_tree(out.get());
  return worker::InstallAnswer(report).dump();
}

std::string PackageWorker::Fetch(const WorkerJob& job) const {
  const auto request = nlohmann::json::parse(job.request);
  nlohmann::json items = nlohmann::json::array();
  for (size_t i = 0; i < request.at("items").size(); ++i) {
    const auto found = offered.find(request["items"][i].at("url"));
    if (found == offered.end()) {
      items.push_back({{"ok", false},
                       {"fault", 3},
                       {"status", 404},
                       {"cause", "`index.example` answers 404\x1b[2J"}});
      continue;
    }
    base::WriteFd(job.files.at(i), found->second, "a download");
    items.push_back({{"ok", true}, {"bytes", found->second.size()}});
  }
  return nlohmann::json({{"items", items}}).dump();
}

}  // namespace rundlet::rootfs::testing
