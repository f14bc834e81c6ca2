#include "state_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/fs.h"

namespace rundlet::runtime {

using base::ThrowErrno;
using base::UniqueFd;

StateDirectory::StateDirectory() {
  const char* parent = getenv("TMPDIR");
  path_ = fmt::format("{}/rundlet-test-XXXXXX", parent != nullptr ? parent : "/var/tmp");
  if (mkdtemp(path_.data()) == nullptr) ThrowErrno("creating `{}`", path_);
  dir_ = base::OpenHostPath(path_, O_RDONLY | O_DIRECTORY);
}

StateDirectory::~StateDirectory() {
  dir_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void StateDirectory::AddParents(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos) base::MakeDirs(dir_.get(), path.substr(0, slash));
}

void StateDirectory::AddDirectory(const std::string& path, mode_t mode) {
  base::MakeDirs(dir_.get(), path);
  if (chmod(At(path).c_str(), mode) < 0) ThrowErrno("setting the mode of `{}`", path);
}

void StateDirectory::AddFile(const std::string& path, std::string_view content, mode_t mode) {
  AddParents(path);
  const UniqueFd file = base::OpenAt(dir_.get(), path, O_WRONLY | O_CREAT | O_EXCL, mode);
  base::WriteFd(file.get(), content, path);
  if (fchmod(file.get(), mode) < 0) ThrowErrno("setting the mode of `{}`", path);
}

void StateDirectory::AddLink(const std::string& path, const std::string& target) {
  AddParents(path);
  if (symlink(target.c_str(), At(path).c_str()) < 0) ThrowErrno("creating link `{}`", path);
}

void StateDirectory::AddWhiteout(const std::string& path) {
  AddParents(path);
  if (mknod(At(path).c_str(), S_IFCHR, makedev(0, 0)) < 0) ThrowErrno("whiteout `{}`", path);
}

void StateDirectory::MakeOpaque(const std::string& path) {
  base::MakeDirs(dir_.get(), path);
  if (setxattr(At(path).c_str(), "trusted.overlay.opaque", "y", 1, 0) < 0) {
    ThrowErrno("making `{}` opaque", path);
  }
}

void StateDirectory::AddImage() {
  for (const char* name : {"dev", "proc", "tmp", "etc", "env", "work", "bin"}) {
    AddDirectory(fmt::format("skeleton/{}", name));
  }
  AddDirectory("image/bin");
  const std::string probe = At("image/bin/probe");
  std::filesystem::copy_file(getenv("RUNDLET_PROBE"), probe);
  if (chmod(probe.c_str(), 0755) < 0) ThrowErrno("setting the mode of the probe");
  AddFile("image/etc/os-release", "ID=test\n");
  AddFile("image/secret", "secret\n", 0600);
  AddFile("image/script", "no interpreter line\n", 0644);
  AddFile("image/text", "neither ELF nor a script\n", 0755);
  AddDirectory("image/usr/lib");
}

}  // namespace rundlet::runtime
