#include "rootfs/worker/archives/split_archive.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "rootfs/formats/layer_path.h"
#include "rootfs/worker/archives/tar_path.h"
#include "rootfs/worker/archives/tar_reader.h"
#include "rootfs/worker/command.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kMembers = 100'000;
constexpr size_t kDepth = 16;
constexpr uint64_t kNameBytes = uint64_t{16} << 20;

base::Error Refuse(std::string why) {
  return base::Error(base::Fault::kInvalid, "reading an image archive").Because(std::move(why));
}

// What a link's target names: relative to the link's directory, ".." inside the archive only.
std::optional<std::string> TargetOf(const std::string& path, const std::string& link) {
  std::vector<std::string> parts;
  if (!link.starts_with('/')) {
    parts = base::Split(path, '/');
    parts.pop_back();
  }
  for (const std::string& part : base::Split(link, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      return std::nullopt;
    } else {
      parts.pop_back();
    }
  }
  return base::Join(parts, "/");
}

void Resolve(const std::map<std::string, std::string>& links,
             std::map<std::string, ArchiveMember>& members) {
  for (const auto& [path, target] : links) {
    // One step is enough: docker links to the folder that has the file.
    const auto found = members.find(target);
    if (found != members.end() && !links.contains(target)) members.emplace(path, found->second);
  }
}

}  // namespace

std::map<std::string, ArchiveMember> ListMembers(const BlobRange& plain) {
  BlobLimits limits;
  limits.bytes = plain.size;
  BlobReader source(plain, limits, Digesting::kNo);
  TarReader reader(source);
  std::map<std::string, ArchiveMember> members;
  std::map<std::string, std::string> links;
  uint64_t name_bytes = 0;
  while (const std::optional<TarEntry> entry = reader.Next()) {
    const std::string path = CleanPath(entry->path, kDepth);
    name_bytes += path.size() + entry->link.size();
    if (members.size() + links.size() >= kMembers || name_bytes > kNameBytes) {
      throw Refuse("it has too many members for an image");
    }
    if (entry->type == TarType::kDirectory) continue;
    if (members.contains(path) || links.contains(path)) {
      throw Refuse(fmt::format("`{}` is there twice", base::Printable(path)));
    }
    if (entry->sparse) throw Refuse(fmt::format("`{}` is sparse", base::Printable(path)));
    if (entry->type == TarType::kFile) {
      members[path] = {plain.offset + entry->data_offset, entry->size};
    } else if (entry->type == TarType::kSymlink) {
      if (const auto target = TargetOf(path, entry->link)) links[path] = *target;
    } else if (entry->type == TarType::kHardLink) {
      links[path] = CleanPath(entry->link, kDepth);
    }
  }
  Resolve(links, members);
  return members;
}

void Decompress(const BlobRange& blob, int out, BlobReader::Progress progress) {
  // The layers in an image archive are compressed or not; the archive around them gains little
  // more.
  BlobReader source(blob, {}, Digesting::kNo, std::move(progress));
  const base::UniqueFd file = base::OpenAt(out, "archive", O_WRONLY | O_CREAT | O_EXCL, 0600);
  for (auto bytes = source.Next(); !bytes.empty(); bytes = source.Next()) {
    base::WriteFd(file.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                  "the decompressed archive");
  }
}

nlohmann::json SplitArchiveTo(int out, int file, const nlohmann::json& request) {
  BlobRange blob{file, 0, request.at("size")};
  base::UniqueFd decompressed;
  if (request.at("decompress").get<bool>()) {
    Decompress(blob, out, [&](uint64_t consumed) { ReportProgress(0, consumed, blob.size); });
    decompressed = base::OpenAt(out, "archive", O_RDONLY);
    struct stat info;
    if (fstat(decompressed.get(), &info) < 0) {
      base::ThrowErrno("looking at the decompressed archive");
    }
    blob = {decompressed.get(), 0, static_cast<uint64_t>(info.st_size)};
  }
  nlohmann::json members = nlohmann::json::array();
  for (const auto& [path, member] : ListMembers(blob)) {
    members.push_back(
        {{"path", EncodePath(path)}, {"offset", member.offset}, {"size", member.size}});
  }
  return {{"members", members}};
}

nlohmann::json SplitArchive(const nlohmann::json& request) {
  // A plain archive's worker has nothing to write to.
  base::UniqueFd out;
  if (request.at("decompress").get<bool>()) {
    out = base::OpenHostPath("/out", O_RDONLY | O_DIRECTORY);
  }
  return SplitArchiveTo(out.get(), kFirstFile, request);
}

}  // namespace rundlet::rootfs::worker
