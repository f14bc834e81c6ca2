#include "rootfs/worker/hash_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "rootfs/worker/command.h"
#include "rootfs/worker/open_in_root.h"

namespace rundlet::rootfs::worker {
namespace {

// The format of what is hashed: a change of it changes every identity.
constexpr std::string_view kFormat = "rundlet interpreter 1";
constexpr uint64_t kEntries = 200'000;
constexpr uint64_t kBytes = uint64_t{4} << 30;
constexpr int kDepth = 64;

base::Error Refuse(std::string_view path, std::string why) {
  return base::Error(base::Fault::kInvalid,
                     fmt::format("hashing `{}` of the image", base::Printable(path)))
      .Because(std::move(why));
}

class TreeHash {
 public:
  explicit TreeHash(int root) : root_(root) { hash_.AddField(kFormat); }

  void AddNamedFile(std::string_view role, const std::string& path) {
    const base::UniqueFd file = OpenInRoot(root_, path, O_RDONLY);
    if (!file.valid()) throw Refuse(path, base::ErrnoText(errno));
    hash_.AddField(role);
    hash_.AddField(path);
    AddFile(file.get(), path);
  }

  void AddTree(const std::string& path) {
    const base::UniqueFd dir = OpenInRoot(root_, path, O_RDONLY | O_DIRECTORY);
    if (!dir.valid()) throw Refuse(path, base::ErrnoText(errno));
    hash_.AddField("tree");
    hash_.AddField(path);
    AddDirectory(dir.get(), path, 0);
  }

  base::Digest Finish() { return hash_.Finish(); }

 private:
  void AddFile(int file, const std::string& path) {
    struct stat info;
    if (fstat(file, &info) < 0) base::ThrowErrno("looking at `{}`", base::Printable(path));
    if (!S_ISREG(info.st_mode)) throw Refuse(path, "it is no regular file");
    bytes_ += static_cast<uint64_t>(info.st_size);
    if (bytes_ > kBytes) throw Refuse(path, "the interpreter is too large");
    hash_.AddField((info.st_mode & 0111) != 0 ? "executable" : "file");
    hash_.AddField({reinterpret_cast<const char*>(base::DigestOfFile(file).bytes().data()), 32});
  }

  // A link counts by its text, and by what is behind it: Debian keeps parts of the library
  // elsewhere.
  void AddLink(int dir, const std::string& name, const std::string& path) {
    std::array<char, PATH_MAX> target;
    const ssize_t length = readlinkat(dir, name.c_str(), target.data(), target.size());
    if (length < 0) base::ThrowErrno("reading link `{}`", base::Printable(path));
    hash_.AddField("link");
    hash_.AddField({target.data(), static_cast<size_t>(length)});
    const base::UniqueFd file = OpenInRoot(root_, path, O_RDONLY);
    struct stat info;
    if (file.valid() && fstat(file.get(), &info) == 0 && S_ISREG(info.st_mode)) {
      AddFile(file.get(), path);
    }
  }

  static bool IsLeftOut(const std::string& name, int depth) {
    return name == "__pycache__" ||
           (depth == 0 && (name == "site-packages" || name == "dist-packages"));
  }

  void AddDirectory(int dir, const std::string& path, int depth) {
    if (depth > kDepth) throw Refuse(path, "it is nested too deeply");
    for (const base::DirEntry& entry : base::ListDir(dir)) {
      if (IsLeftOut(entry.name, depth)) continue;
      if (++entries_ > kEntries) throw Refuse(path, "the standard library has too many files");
      const std::string inner = path + "/" + entry.name;
      hash_.AddField(inner);
      if (entry.type == DT_DIR) {
        hash_.AddField("directory");
        AddDirectory(base::OpenAt(dir, entry.name, O_RDONLY | O_DIRECTORY).get(), inner, depth + 1);
        hash_.AddField("end");
      } else if (entry.type == DT_LNK) {
        AddLink(dir, entry.name, inner);
      } else if (entry.type == DT_REG) {
        AddFile(base::OpenAt(dir, entry.name, O_RDONLY).get(), inner);
      }
    }
  }

  int root_;
  base::Sha256 hash_;
  uint64_t entries_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace

base::Digest HashInterpreter(int root, const InterpreterFiles& files) {
  TreeHash hash(root);
  hash.AddNamedFile("executable", files.executable);
  if (files.libpython) hash.AddNamedFile("libpython", *files.libpython);
  hash.AddTree(files.stdlib);
  return hash.Finish();
}

nlohmann::json HashTreeIn(int root, const nlohmann::json& request) {
  InterpreterFiles files;
  files.executable = request.at("executable");
  if (!request.at("libpython").is_null()) {
    files.libpython = request.at("libpython").get<std::string>();
  }
  files.stdlib = request.at("stdlib");
  return {{"identity", HashInterpreter(root, files).hex()}};
}

nlohmann::json HashTree(const nlohmann::json& request) {
  const base::UniqueFd root = base::OpenHostPath("/image", O_RDONLY | O_DIRECTORY);
  return HashTreeIn(root.get(), request);
}

}  // namespace rundlet::rootfs::worker
