#include "store/manifest.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "store/tree_walk.h"

namespace rundlet::store {
namespace {

constexpr std::string_view kHeader = "rundlet manifest 1\n";
constexpr size_t kBufferSize = size_t{1} << 20;

std::string Escaped(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x21 && byte <= 0x7e && c != '%') {
      escaped += c;
    } else {
      fmt::format_to(std::back_inserter(escaped), "%{:02x}", byte);
    }
  }
  return escaped;
}

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) {
    fmt::format_to(std::back_inserter(hex), "{:02x}", static_cast<unsigned char>(c));
  }
  return hex.empty() ? "-" : hex;
}

char TypeOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 'f';
    case S_IFDIR:
      return 'd';
    case S_IFLNK:
      return 'l';
    case S_IFCHR:
      return 'c';
    case S_IFBLK:
      return 'b';
    case S_IFIFO:
      return 'p';
    default:
      return 's';
  }
}

using Inode = std::pair<dev_t, ino_t>;

struct Line {
  std::string path;  // as it is on disk; "" is the tree itself
  char type = 'f';
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  uint64_t size = 0;
  std::string content;
  std::string xattrs;  // whole lines
  Inode inode;
  bool may_be_linked = false;
};

class Collector {
 public:
  void Visit(const TreeNode& node) {
    Line line;
    line.path = node.path;
    line.type = TypeOf(node.info.st_mode);
    line.mode = node.info.st_mode & 07777;
    line.uid = node.info.st_uid;
    line.gid = node.info.st_gid;
    line.inode = {node.info.st_dev, node.info.st_ino};
    line.may_be_linked = line.type == 'f' && node.info.st_nlink > 1;
    SetContent(node, line);
    if (node.fd >= 0) line.xattrs = XattrLines(node.fd);
    lines_.push_back(std::move(line));
  }

  Manifest Finish() {
    std::sort(lines_.begin(), lines_.end(),
              [](const Line& a, const Line& b) { return a.path < b.path; });
    Manifest manifest;
    manifest.text = kHeader;
    std::map<Inode, const Line*> first;
    for (Line& line : lines_) {
      if (line.type == 'f') ++manifest.files;
      if (line.may_be_linked) {
        const auto [earlier, is_first] = first.emplace(line.inode, &line);
        if (!is_first) {
          line.type = 'h';
          line.content = Escaped(earlier->second->path);
        }
      }
      if (line.type == 'f') manifest.bytes += line.size;
      fmt::format_to(std::back_inserter(manifest.text), "{} {:04o} {} {} {} {} {}\n{}", line.type,
                     line.mode, line.uid, line.gid, line.size, line.content,
                     line.path.empty() ? "." : Escaped(line.path), line.xattrs);
    }
    return manifest;
  }

 private:
  void SetContent(const TreeNode& node, Line& line) {
    switch (line.type) {
      case 'f':
        line.size = static_cast<uint64_t>(node.info.st_size);
        line.content = ContentOf(node, line);
        return;
      case 'l':
        line.content = Escaped(ReadLink(node));
        return;
      case 'c':
      case 'b':
        line.content = fmt::format("{}:{}", major(node.info.st_rdev), minor(node.info.st_rdev));
        return;
      default:
        line.content = "-";
    }
  }

  // A file with several names is read once.
  std::string ContentOf(const TreeNode& node, const Line& line) {
    if (!line.may_be_linked) return HashOf(node);
    std::string& known = hashes_[line.inode];
    if (known.empty()) known = HashOf(node);
    return known;
  }

  std::string HashOf(const TreeNode& node) {
    base::Sha256 hash;
    uint64_t size = 0;
    while (true) {
      const ssize_t count = read(node.fd, buffer_.data(), buffer_.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) base::ThrowErrno("reading `{}`", base::Printable(node.path));
      hash.Add(std::span(buffer_.data(), static_cast<size_t>(count)));
      size += static_cast<uint64_t>(count);
      if (count == 0) break;
    }
    if (size != static_cast<uint64_t>(node.info.st_size)) {
      throw base::Error(base::Fault::kHost, fmt::format("reading `{}`", base::Printable(node.path)))
          .Because("it changed meanwhile");
    }
    return hash.Finish().hex();
  }

  static std::string XattrLines(int fd) {
    std::string lines;
    for (const std::string& name : ListXattrs(fd)) {
      if (!name.starts_with("user.") && !name.starts_with("trusted.overlay.")) continue;
      lines += fmt::format("x {} {}\n", Escaped(name), Hex(ReadXattr(fd, name)));
    }
    return lines;
  }

  std::vector<Line> lines_;
  std::map<Inode, std::string> hashes_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kBufferSize);
};

}  // namespace

Manifest ManifestOf(int tree) {
  Collector collector;
  WalkTree(tree, [&](const TreeNode& node) { collector.Visit(node); });
  return collector.Finish();
}

}  // namespace rundlet::store
