// What the program that builds a wheel of a source archive is told, and what it answers.
// engine/locks/builder runs it, in a sandbox of the image without network, under limits.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "rootfs/program_command.h"
#include "rootfs/requirements/source_archive.h"

namespace rundlet::rootfs {

// [build-system] of a pyproject.toml (PEP 518), or what stands for it where there is none.
struct BuildSystem {
  std::vector<std::string> required = {"setuptools>=40.8.0"};
  std::string backend = "setuptools.build_meta:__legacy__";
  std::vector<std::string> path;  // folders of the archive that the backend may lie in
};
// `document` is the answer of the worker's "parse-toml". Throws base::Error (kInvalid).
BuildSystem ReadBuildSystem(std::string_view document);

enum class BuildMode { kDescribe, kRequires, kBuild };
// `folder`, relative to the state directory, holds the archive.
ProgramCommand MakeBuildCommand(BuildMode mode, const SourceArchive& archive,
                                const std::string& folder, const BuildSystem& system,
                                const std::string& python);

inline constexpr size_t kBuildAnswerLine = 4 << 20;  // bytes, the longest

// A line of JSON, then a wheel in lines of base64. Functions throw base::Error (kInvalid) for an
// answer that is not of this form.
class BuildAnswer {
 public:
  // `archive` outlives it.
  explicit BuildAnswer(const SourceArchive& archive) : archive_(archive) {}

  void AddLine(std::string_view line);
  // Once all lines are there.
  void Check() const;

  std::string pyproject() const { return Text("pyproject"); }  // kDescribe
  std::vector<std::string> required() const;                   // kRequires
  std::string filename() const { return Text("wheel"); }       // kBuild
  const std::string& wheel() const { return wheel_; }          // kBuild

 private:
  std::string Text(const char* key) const;

  const SourceArchive& archive_;
  std::optional<std::string> head_;
  std::string wheel_;
};

// kInvalid.
base::Error BuildFailure(const SourceArchive& archive, std::string cause);

}  // namespace rundlet::rootfs
