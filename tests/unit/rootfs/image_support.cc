#include "image_support.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/digest.h"
#include "base/error.h"
#include "base/fs.h"
#include "rootfs/formats/oci.h"
#include "rootfs/worker/archives/read_image.h"
#include "rootfs/worker/archives/split_archive.h"
#include "rootfs/worker/archives/unpack_layer.h"
#include "rootfs/worker/command.h"

namespace rundlet::rootfs::testing {
namespace {

using nlohmann::json;

void Require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

void Put(std::string& block, size_t offset, std::string_view text) {
  std::copy(text.begin(), text.end(), block.begin() + static_cast<std::ptrdiff_t>(offset));
}

std::string Octal(uint64_t value, int digits) { return fmt::format("{:0{}o}", value, digits); }

std::string Compress(std::string_view bytes, int (*add_filter)(archive*)) {
  std::string compressed(bytes.size() + (1 << 20), '\0');
  size_t used = 0;
  archive* writer = archive_write_new();
  archive_write_set_format_raw(writer);
  add_filter(writer);
  archive_write_set_bytes_per_block(writer, 0);
  Require(archive_write_open_memory(writer, compressed.data(), compressed.size(), &used) == 0,
          "open");
  archive_entry* entry = archive_entry_new();
  archive_entry_set_pathname(entry, "data");
  archive_entry_set_filetype(entry, AE_IFREG);
  Require(archive_write_header(writer, entry) == 0, "header");
  Require(archive_write_data(writer, bytes.data(), bytes.size()) >= 0, "data");
  archive_entry_free(entry);
  Require(archive_write_close(writer) == 0, "close");
  archive_write_free(writer);
  compressed.resize(used);
  return compressed;
}

}  // namespace

TarBuilder& TarBuilder::Bytes(std::string_view bytes) {
  bytes_ += bytes;
  bytes_.resize((bytes_.size() + 511) / 512 * 512, '\0');
  return *this;
}

TarBuilder& TarBuilder::Raw(char type, const std::string& path, const std::string& link,
                            uint64_t size, std::string_view body) {
  return Raw(type, path, link, size, body, Options());
}

TarBuilder& TarBuilder::Raw(char type, const std::string& path, const std::string& link,
                            uint64_t size, std::string_view body, const Options& options) {
  if (!options.pax.empty()) Pax(options.pax);
  const uint64_t uid = options.uid >= 0 ? static_cast<uint64_t>(options.uid) : geteuid();
  std::string block(512, '\0');
  Put(block, 0, path.substr(0, 100));
  Put(block, 100, Octal(options.mode, 7));
  Put(block, 108, Octal(uid, 7));
  Put(block, 116, Octal(getegid(), 7));
  Put(block, 124, Octal(size, 11));
  Put(block, 136, Octal(static_cast<uint64_t>(options.mtime), 11));
  Put(block, 148, "        ");
  block[156] = type;
  Put(block, 157, link.substr(0, 100));
  Put(block, 257, std::string_view("ustar\00000", 8));
  uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  Put(block, 148, Octal(sum, 6) + std::string("\0 ", 2));
  return Bytes(block).Bytes(body);
}

TarBuilder& TarBuilder::File(const std::string& path, std::string_view content,
                             const Options& options) {
  return Raw('0', path, "", content.size(), content, options);
}

TarBuilder& TarBuilder::Dir(const std::string& path, uint32_t mode) {
  return Raw('5', path, "", 0, "", {.mode = mode, .pax = {}});
}

TarBuilder& TarBuilder::Symlink(const std::string& path, const std::string& target) {
  return Raw('2', path, target, 0, "");
}

TarBuilder& TarBuilder::HardLink(const std::string& path, const std::string& target) {
  return Raw('1', path, target, 0, "");
}

TarBuilder& TarBuilder::Pax(const std::vector<std::pair<std::string, std::string>>& records,
                            char type) {
  std::string text;
  for (const auto& [key, value] : records) {
    const std::string record = " " + key + "=" + value + "\n";
    size_t length = record.size() + 1;
    while (std::to_string(length).size() + record.size() != length) ++length;
    text += std::to_string(length) + record;
  }
  return Raw(type, "pax", "", text.size(), text);
}

std::string Gzip(std::string_view bytes) { return Compress(bytes, archive_write_add_filter_gzip); }
std::string Zstd(std::string_view bytes) { return Compress(bytes, archive_write_add_filter_zstd); }

std::span<const std::byte> MemorySource::Next() {
  const std::string_view now = bytes_.substr(0, chunk_);
  bytes_.remove_prefix(now.size());
  return std::as_bytes(std::span(now.data(), now.size()));
}

TemporaryDirectory::TemporaryDirectory() {
  char name[] = "/tmp/rundlet-image-XXXXXX";
  Require(mkdtemp(name) != nullptr, "mkdtemp");
  path_ = name;
  fd_ = base::OpenHostPath(path_, O_RDONLY | O_DIRECTORY);
}

TemporaryDirectory::~TemporaryDirectory() {
  const base::UniqueFd parent = base::OpenHostPath("/tmp", O_RDONLY | O_DIRECTORY);
  base::RemoveTree(parent.get(), path_.substr(5));
}

void TemporaryDirectory::Write(const std::string& path, std::string_view bytes) const {
  const size_t slash = path.rfind('/');
  if (slash != path.npos) base::MakeDirs(fd(), path.substr(0, slash));
  base::ReplaceAt(fd(), path, bytes, 0644, base::Durability::kNone);
}

LayoutBuilder::LayoutBuilder() : architecture(HostPlatform().architecture) {}

LayoutBuilder& LayoutBuilder::Add(std::string tar) {
  layers.push_back({std::move(tar)});
  return *this;
}

LayoutBuilder& LayoutBuilder::AddCompressed(std::string tar, std::string blob,
                                            const std::string& compression) {
  layers.push_back({std::move(tar), "application/vnd.oci.image.layer.v1.tar+" + compression, blob});
  return *this;
}

std::string AddBlob(std::map<std::string, std::string>& files, const std::string& bytes,
                    const std::string& media_type) {
  const std::string hex = base::Digest::Of(bytes).hex();
  files["blobs/sha256/" + hex] = bytes;
  return json{{"mediaType", media_type}, {"digest", "sha256:" + hex}, {"size", bytes.size()}}
      .dump();
}

std::map<std::string, std::string> LayoutBuilder::Finish() const {
  std::map<std::string, std::string> files;
  json manifest = {{"schemaVersion", 2}, {"layers", json::array()}};
  json diff_ids = json::array();
  for (const Layer& layer : layers) {
    manifest["layers"].push_back(
        json::parse(AddBlob(files, layer.blob.empty() ? layer.tar : layer.blob, layer.media_type)));
    diff_ids.push_back("sha256:" + base::Digest::Of(layer.tar).hex());
  }
  const json config = {
      {"architecture", architecture},
      {"os", "linux"},
      {"config", {{"Env", {"PATH=/usr/bin", "LANG=C.UTF-8"}}, {"Cmd", {"python3"}}}},
      {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}};
  manifest["config"] =
      json::parse(AddBlob(files, config.dump(), "application/vnd.oci.image.config.v1+json"));
  json descriptor =
      json::parse(AddBlob(files, manifest.dump(), "application/vnd.oci.image.manifest.v1+json"));
  descriptor["annotations"] = {{"org.opencontainers.image.ref.name", ref_name}};
  files["index.json"] = json{{"schemaVersion", 2}, {"manifests", {descriptor}}}.dump();
  files["oci-layout"] = R"({"imageLayoutVersion": "1.0.0"})";
  return files;
}

void WriteTo(const TemporaryDirectory& directory, const std::map<std::string, std::string>& files) {
  for (const auto& [path, bytes] : files) directory.Write(path, bytes);
}

std::string TarOf(const std::map<std::string, std::string>& files) {
  TarBuilder tar;
  for (const auto& [path, bytes] : files) tar.File(path, bytes);
  return tar.Finish();
}

base::UniqueFd InProcessWorker::OpenTarget(const WorkerJob& job) const {
  if (job.mounts.empty()) return base::UniqueFd();
  const auto& path = std::get<runtime::StorePath>(job.mounts.front().source);
  Require(job.mounts.front().target == "/out" && path.writable && path.idmapped, "mount");
  return base::OpenAt(store_.dir(), path.path, O_RDONLY | O_DIRECTORY);
}

std::string InProcessWorker::Run(const WorkerJob& job, const ProgressCallback& progress,
                                 const base::CancelToken* cancel) {
  if (cancel != nullptr) cancel->ThrowIfCancelled();
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(job.command);
  }
  progress({0, 1, 2});
  const json request = json::parse(job.request);
  const base::UniqueFd out = OpenTarget(job);
  const int file = job.files.empty() ? -1 : job.files.front();
  json answer;
  if (job.command == "unpack-layer")
    answer = worker::UnpackLayerTo(out.get(), file, job.files.at(1), request);
  if (job.command == "split-archive") answer = worker::SplitArchiveTo(out.get(), file, request);
  if (job.command == "read-image") answer = worker::ReadImageFrom(file, request);
  return tamper ? tamper(answer.dump()) : answer.dump();
}

std::vector<std::string> InProcessWorker::commands() const {
  const std::lock_guard lock(mutex_);
  return commands_;
}

}  // namespace rundlet::rootfs::testing

namespace rundlet::rootfs::worker {

// The worker program's own writes to standard output (main.cc).
void ReportProgress(uint64_t, uint64_t, uint64_t) {}

}  // namespace rundlet::rootfs::worker
