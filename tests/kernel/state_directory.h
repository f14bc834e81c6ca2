// A small state directory in which a test lays out what would be images and packages.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"

namespace rundlet::runtime {

// Made in $TMPDIR (else /var/tmp, which is on a disk: overlay lowers of every kernel may lie there)
// and removed with its content. All functions throw base::Error; paths are relative to it.
class StateDirectory {
 public:
  StateDirectory();
  ~StateDirectory();
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;

  int dir() const { return dir_.get(); }
  const std::string& path() const { return path_; }

  void AddDirectory(const std::string& path, mode_t mode = 0755);
  void AddFile(const std::string& path, std::string_view content, mode_t mode = 0644);
  void AddLink(const std::string& path, const std::string& target);
  // Overlayfs's marks: a deleted name, and a directory that hides what lies below it.
  void AddWhiteout(const std::string& path);
  void MakeOpaque(const std::string& path);
  // "skeleton" (mount points), "image" (the probe at /bin/probe and some files).
  void AddImage();

 private:
  std::string At(const std::string& path) const { return path_ + "/" + path; }
  void AddParents(const std::string& path);

  std::string path_;
  base::UniqueFd dir_;
};

}  // namespace rundlet::runtime
