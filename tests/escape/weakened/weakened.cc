// What rundlet-launcher-weak leaves out, and where it stops: told by the file PROGRAM.weak, one
// line each, "without DEFENCE" and "stop at STAGE". When it stops it writes a byte into the fifo
// PROGRAM.reached, and goes on after one from PROGRAM.go.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "runtime/child/defences.h"

namespace rundlet::runtime {
namespace {

// Out of the way of what a sandbox's processes close and pass on.
constexpr int kAside = 800;
constexpr size_t kMaxBytes = 4096;
constexpr size_t kDefences = static_cast<size_t>(Defence::kCount);

struct Weakness {
  std::array<bool, kDefences> left_out{};
  std::optional<Stage> stop;
  int reached = -1;
  int go = -1;
};
Weakness weakness;

const char* NameOf(Defence defence) {
  switch (defence) {
    case Defence::kFilter:
      return "filter";
    case Defence::kNoNewPrivs:
      return "no new privileges";
    case Defence::kNoSuid:
      return "nosuid";
    case Defence::kCapabilities:
      return "capabilities";
    case Defence::kLandlock:
      return "landlock";
    case Defence::kReadOnly:
      return "read-only";
    case Defence::kProcReadOnly:
      return "read-only proc";
    case Defence::kProcMasks:
      return "masks";
    case Defence::kNetwork:
      return "network";
    case Defence::kProcesses:
      return "processes";
    case Defence::kSession:
      return "session";
    case Defence::kKeyring:
      return "keyring";
    case Defence::kIds:
      return "ids";
    case Defence::kDescriptors:
      return "descriptors";
    case Defence::kInRoot:
      return "in root";
    case Defence::kBareRoot:
      return "bare root";
    case Defence::kDirectory:
      return "directory";
    case Defence::kInit:
      return "init";
    case Defence::kLifeline:
      return "lifeline";
    case Defence::kLimits:
      return "limits";
    case Defence::kCount:
      break;
  }
  return "";
}

void LeaveOut(const std::string& name) {
  for (size_t i = 0; i < kDefences; ++i) {
    if (name != NameOf(static_cast<Defence>(i))) continue;
    weakness.left_out[i] = true;
    return;
  }
  throw base::Error(base::Fault::kInvalid, fmt::format("leaving out `{}`", name));
}

int OpenAside(const std::string& path) {
  const base::UniqueFd fifo(open(path.c_str(), O_RDWR | O_CLOEXEC));
  const int aside = fifo.valid() ? fcntl(fifo.get(), F_DUPFD_CLOEXEC, kAside) : -1;
  if (aside < 0) base::ThrowErrno("opening `{}`", path);
  return aside;
}

void StopLater(const std::string& name, const std::string& program) {
  for (size_t i = 0; i < static_cast<size_t>(Stage::kCount); ++i) {
    if (name == runtime::NameOf(static_cast<Stage>(i))) weakness.stop = static_cast<Stage>(i);
  }
  if (!weakness.stop.has_value())
    throw base::Error(base::Fault::kInvalid, fmt::format("stopping at `{}`", name));
  weakness.reached = OpenAside(program + ".reached");
  weakness.go = OpenAside(program + ".go");
}

}  // namespace

void Weaken() {
  constexpr std::string_view kWithout = "without ";
  constexpr std::string_view kStop = "stop at ";
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) base::ThrowErrno("finding the running program");
  const std::string program(path, static_cast<size_t>(length));
  const base::UniqueFd file = base::OpenHostPath(program + ".weak", O_RDONLY);
  for (const std::string& line :
       base::Split(base::ReadFd(file.get(), kMaxBytes, "what to leave out"), '\n')) {
    if (line.starts_with(kWithout)) LeaveOut(line.substr(kWithout.size()));
    if (line.starts_with(kStop)) StopLater(line.substr(kStop.size()), program);
  }
}

bool Stands(Defence defence) { return !weakness.left_out[static_cast<size_t>(defence)]; }

void StopAt(Stage stage) {
  char byte = 'r';
  if (weakness.stop != stage || write(weakness.reached, &byte, 1) != 1) return;
  [[maybe_unused]] const ssize_t count = read(weakness.go, &byte, 1);
}

}  // namespace rundlet::runtime
