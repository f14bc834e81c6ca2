#include "rootfs/worker/wheels/install_wheel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/formats/wheel_entry_points.h"
#include "rootfs/formats/wheel_metadata.h"
#include "rootfs/formats/wheel_paths.h"
#include "rootfs/formats/wheel_record.h"
#include "rootfs/worker/archives/zip.h"
#include "rootfs/worker/command.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr uint64_t kRecordLimit = uint64_t{128} << 20;
constexpr uint64_t kMetadataLimit = uint64_t{16} << 20;
constexpr uint64_t kShebangLimit = 512;
constexpr std::string_view kInstaller = "rundlet\n";

[[noreturn]] void Refuse(std::string_view path, std::string cause) {
  throw base::Error(base::Fault::kInvalid, fmt::format("checking `{}`", base::Printable(path)))
      .Because(std::move(cause));
}

// One file below the prefix, hashed while it is written.
class OutputFile {
 public:
  OutputFile(int out, std::string path, bool executable)
      : path_(std::move(path)),
        executable_(executable),
        fd_(base::OpenAt(out, path_, O_WRONLY | O_CREAT | O_EXCL, executable ? 0755 : 0644)) {}

  void Write(std::string_view bytes) {
    base::WriteFd(fd_.get(), bytes, fmt::format("`{}`", path_));
    hash_.Add(bytes);
    size_ += bytes.size();
  }

  InstalledFile Finish() { return {path_, size_, hash_.Finish(), executable_}; }

 private:
  std::string path_;
  bool executable_;
  base::UniqueFd fd_;
  base::Sha256 hash_;
  uint64_t size_ = 0;
};

std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A file's bytes, mapped: a wheel of the store, or a file that was just written. Neither changes
// while it is read.
class MappedFile {
 public:
  explicit MappedFile(int fd) {
    struct stat info;
    if (fstat(fd, &info) < 0) base::ThrowErrno("looking at a file");
    size_ = static_cast<size_t>(info.st_size);
    if (size_ == 0)
      throw base::Error(base::Fault::kInvalid, "reading a wheel").Because("it is empty");
    address_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address_ == MAP_FAILED) base::ThrowErrno("mapping a file");
  }
  ~MappedFile() { munmap(address_, size_); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(address_), size_};
  }

 private:
  void* address_ = nullptr;
  size_t size_ = 0;
};

class Installer {
 public:
  Installer(std::span<const std::byte> archive, const InstallRequest& request, int out)
      : zip_(archive), request_(request), out_(out) {}

  InstallReport Run() {
    Index();
    FindDistInfo();
    CheckHeaders();
    ReadRecord();
    ReadScripts();
    for (const ZipEntry& entry : zip_.entries()) {
      if (!entry.directory) Install(entry);
    }
    if (!record_.empty())
      Refuse(record_.begin()->first, "RECORD lists it and the wheel does not hold it");
    WriteOwnFiles();
    std::sort(files_.begin(), files_.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
    return {layout_.dist_info, std::move(files_), std::move(libraries_)};
  }

 private:
  void Index() {
    for (const ZipEntry& entry : zip_.entries()) {
      CheckArchivePath(entry.path);
      if (!entry.directory && !by_path_.emplace(entry.path, &entry).second) {
        Refuse(entry.path, "the wheel holds it twice");
      }
    }
  }

  // "There is exactly one top-level .dist-info directory, and it is of this distribution."
  void FindDistInfo() {
    constexpr std::string_view kSuffix = ".dist-info";
    std::set<std::string> found;
    for (const auto& [path, entry] : by_path_) {
      const std::string top = path.substr(0, path.find('/'));
      if (top.size() < path.size() && top.ends_with(kSuffix)) found.insert(top);
    }
    if (found.size() != 1)
      Refuse("*.dist-info", fmt::format("the wheel holds {} of them, not one", found.size()));
    const std::string stem = found.begin()->substr(0, found.begin()->size() - kSuffix.size());
    const size_t dash = stem.rfind('-');
    if (dash == stem.npos || NormaliseName(stem.substr(0, dash)) != request_.name ||
        CanonicalVersion(stem.substr(dash + 1)) != CanonicalVersion(request_.version)) {
      Refuse(*found.begin(), fmt::format("it is not of `{} {}`", request_.name, request_.version));
    }
    layout_ = {*found.begin(), stem + ".data", request_.name, request_.python_tag};
  }

  std::string ReadDistInfo(std::string_view name, uint64_t limit) const {
    const std::string path = layout_.dist_info + "/" + std::string(name);
    const auto entry = by_path_.find(path);
    if (entry == by_path_.end()) Refuse(path, "the wheel does not hold it");
    return zip_.ReadText(*entry->second, limit);
  }

  void CheckHeaders() const {
    ParseWheelFormat(ReadDistInfo("WHEEL", kMetadataLimit));
    const WheelMetadata metadata = ParseMetadata(ReadDistInfo("METADATA", kMetadataLimit));
    if (NormaliseName(metadata.name) != request_.name ||
        CanonicalVersion(metadata.version) != CanonicalVersion(request_.version)) {
      Refuse(layout_.dist_info + "/METADATA",
             fmt::format("it is of `{} {}`, not of `{} {}`", base::Printable(metadata.name),
                         base::Printable(metadata.version), request_.name, request_.version));
    }
  }

  void ReadRecord() {
    for (RecordRow& row : ParseRecord(ReadDistInfo("RECORD", kRecordLimit))) {
      // Directories and RECORD itself may be listed; they say nothing.
      if (row.path.ends_with('/')) continue;
      if (PlaceWheelFile(layout_, row.path).kind == WheelFileKind::kRecord) continue;
      const std::string path = row.path;
      if (!row.sha256.has_value()) Refuse(path, "RECORD has no hash for it");
      if (!record_.emplace(path, std::move(row)).second) Refuse(path, "RECORD lists it twice");
    }
  }

  void ReadScripts() {
    if (!by_path_.contains(layout_.dist_info + "/entry_points.txt")) return;
    scripts_ = ParseEntryPoints(ReadDistInfo("entry_points.txt", kMetadataLimit));
  }

  RecordRow TakeRow(const ZipEntry& entry) {
    const auto found = record_.find(entry.path);
    if (found == record_.end())
      Refuse(entry.path, "the wheel holds it and RECORD does not list it");
    RecordRow row = std::move(found->second);
    record_.erase(found);
    if (row.size.has_value() && *row.size != entry.size)
      Refuse(entry.path, "its size is not RECORD's");
    return row;
  }

  void Install(const ZipEntry& entry) {
    InstalledPath place = PlaceWheelFile(layout_, entry.path);
    if (place.kind == WheelFileKind::kRecord) return;
    const RecordRow row = TakeRow(entry);
    const bool generated =
        place.kind == WheelFileKind::kScript &&
        std::any_of(scripts_.begin(), scripts_.end(), [&](const EntryPointScript& script) {
          return "bin/" + script.name == place.path;
        });
    // As pip does: a script made from an entry point replaces the one of the same name in the
    // archive.
    const bool dropped = place.kind == WheelFileKind::kDropped || generated;
    const base::Digest digest = dropped ? Hash(entry) : Copy(entry, place);
    if (digest != *row.sha256 && base::Holds(base::Wall::kRecord))
      Refuse(entry.path, "its content is not what RECORD says");
  }

  base::Digest Hash(const ZipEntry& entry) const {
    base::Sha256 hash;
    zip_.Read(entry, [&](std::span<const std::byte> piece) { hash.Add(piece); });
    return hash.Finish();
  }

  // Returns the digest of the bytes in the archive.
  base::Digest Copy(const ZipEntry& entry, const InstalledPath& place) {
    const bool script = place.kind == WheelFileKind::kScript;
    OutputFile output = Create(place.path, script || entry.executable);
    base::Sha256 hash;
    bool first = true;
    bool elf = false;
    zip_.Read(entry, [&](std::span<const std::byte> piece) {
      hash.Add(piece);
      if (first)
        elf = AsText(piece).starts_with(
            "\x7f"
            "ELF");
      output.Write(first && script ? ReplaceShebang(AsText(piece), output) : AsText(piece));
      first = false;
    });
    files_.push_back(output.Finish());
    if (elf) ReadLibrary(place.path);
    return hash.Finish();
  }

  void ReadLibrary(const std::string& path) {
    const base::UniqueFd file = base::OpenAt(out_, path, O_RDONLY);
    if (auto needs = ReadElfNeeds(MappedFile(file.get()).bytes()); needs.has_value())
      libraries_.push_back({path, *std::move(needs)});
  }

  // Writes our own first line when the script asks for one with "#!python" and returns what follows
  // it.
  std::string_view ReplaceShebang(std::string_view text, OutputFile& output) const {
    constexpr std::string_view kPlaceholder = "#!python";
    if (!text.starts_with(kPlaceholder)) return text;
    const size_t end = text.substr(0, kShebangLimit).find('\n');
    if (end == text.npos) return text;
    std::string_view rest = text.substr(kPlaceholder.size());
    if (rest.starts_with('w')) rest.remove_prefix(1);
    output.Write(fmt::format("#!{}", kEnvironmentPython));
    return rest;
  }

  OutputFile Create(const std::string& path, bool executable) {
    if (!paths_.insert(path).second) Refuse(path, "two files of the wheel are installed there");
    if (const size_t slash = path.rfind('/'); slash != path.npos) {
      MakeFolder(path.substr(0, slash), path);
    }
    return {out_, path, executable};
  }

  // Every folder is made once, by us: no link can be on the way, and an existing name is a file.
  void MakeFolder(const std::string& folder, const std::string& path) {
    if (!folders_.insert(folder).second) return;
    const size_t slash = folder.rfind('/');
    if (slash != folder.npos) MakeFolder(folder.substr(0, slash), path);
    if (mkdirat(out_, folder.c_str(), 0755) == 0) return;
    if (errno == EEXIST) Refuse(path, fmt::format("`{}` is a file of the wheel", folder));
    base::ThrowErrno("creating directory `{}`", folder);
  }

  void Write(const std::string& path, std::string_view bytes, bool executable) {
    OutputFile output = Create(path, executable);
    output.Write(bytes);
    files_.push_back(output.Finish());
  }

  void WriteOwnFiles() {
    for (const EntryPointScript& script : scripts_) {
      // Refuses names that belong to the environment ("python").
      const std::string path =
          PlaceWheelFile(layout_, layout_.data + "/scripts/" + script.name).path;
      Write(path, ScriptText(script, kEnvironmentPython), true);
    }
    const std::string folder = layout_.SitePackages() + "/" + layout_.dist_info;
    Write(folder + "/INSTALLER", kInstaller, false);
    std::vector<RecordRow> rows;
    for (const InstalledFile& file : files_) {
      rows.push_back({RecordPath(layout_, file.path), file.sha256, file.size});
    }
    rows.push_back({layout_.dist_info + "/RECORD", std::nullopt, std::nullopt});
    Write(folder + "/RECORD", FormatRecord(std::move(rows)), false);
  }

  ZipReader zip_;
  const InstallRequest& request_;
  int out_;
  WheelLayout layout_;
  std::map<std::string, const ZipEntry*> by_path_;
  std::map<std::string, RecordRow> record_;  // rows not met yet
  std::vector<EntryPointScript> scripts_;
  std::set<std::string> folders_;  // made already
  std::set<std::string> paths_;    // written already
  std::vector<InstalledFile> files_;
  std::vector<InstalledLibrary> libraries_;
};

}  // namespace

InstallReport InstallWheelInto(std::span<const std::byte> archive, const InstallRequest& request,
                               int out) {
  return Installer(archive, request, out).Run();
}

nlohmann::json InstallAnswer(const InstallReport& report) {
  nlohmann::json files = nlohmann::json::array();
  for (const InstalledFile& file : report.files) {
    files.push_back({file.path, file.size, file.sha256.hex(), file.executable});
  }
  nlohmann::json libraries = nlohmann::json::array();
  for (const InstalledLibrary& library : report.libraries) {
    libraries.push_back({library.path, library.needs.soname, library.needs.needed});
  }
  return {{"dist_info", report.dist_info},
          {"files", std::move(files)},
          {"libraries", std::move(libraries)}};
}

// Request: {"name", "version", "python_tag"}; file 0 is the wheel; "/out" is the prefix.
nlohmann::json InstallWheel(const nlohmann::json& request) {
  const InstallRequest wanted{request.at("name"), request.at("version"), request.at("python_tag")};
  const MappedFile wheel(kFirstFile);
  const base::UniqueFd out = base::OpenHostPath("/out", O_RDONLY | O_DIRECTORY);
  return InstallAnswer(InstallWheelInto(wheel.bytes(), wanted, out.get()));
}

}  // namespace rundlet::rootfs::worker
