// Everything that defines a sandbox, as a value. CheckSpec turns it into a CheckedSpec; only that
// can be launched.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/spec/limits.h"
#include "runtime/spec/mount_plan.h"

namespace rundlet::runtime {

// Host ids `base` .. `base + count - 1` are 0 .. count - 1 inside. Never ids of the host's own
// users.
struct IdRange {
  uint32_t base =
      1'878'982'656;  // 0x6FFF0000: above every id that adduser, systemd and subuid hand out
  uint32_t count = 65'536;
  bool operator==(const IdRange&) const = default;
};

enum class Network {
  kNone,  // a namespace of its own with loopback up
  // As kNone, with a socket that listens at kProxyPort of its loopback; Sandbox::TakeListener gives
  // it to whoever is to serve there.
  kProxied,
  kHost,  // the host's; only when asked for, and for resolving and fetching
};

inline constexpr uint16_t kProxyPort = 3128;  // Network::kProxied

enum class Privilege {
  kNone,      // no capability in any set
  kUnpacker,  // root of its own user namespace with the capabilities that writing a layer's owners
              // and modes needs
};

struct TerminalSize {
  uint16_t rows = 24;
  uint16_t columns = 80;
  bool operator==(const TerminalSize&) const = default;
};

struct SandboxSpec {
  std::string hostname = "rundlet";
  MountPlan mounts;
  std::vector<std::string> argv;  // argv[0] is looked up in PATH of `environment`
  std::vector<std::pair<std::string, std::string>> environment;  // complete; nothing is inherited
  std::string cwd = "/";
  IdRange ids;
  uint32_t uid = 1000;  // inside
  uint32_t gid = 1000;
  Network network = Network::kNone;
  Privilege privilege = Privilege::kNone;
  uint64_t scratch_bytes = uint64_t{1}
                           << 30;  // writable layer, /tmp and every other Scratch together
  Limits limits;
  // The program is an open descriptor of the host (a worker), not a path inside:
  // SandboxRequest::program.
  bool program_by_descriptor = false;
  // The program's standard streams are a terminal of the sandbox's own, which it controls;
  // Sandbox::terminal is its other side. At first of this size.
  std::optional<TerminalSize> terminal;
  bool operator==(const SandboxSpec&) const = default;
};

class CheckedSpec {
 public:
  const SandboxSpec& value() const { return spec_; }

 private:
  friend CheckedSpec CheckSpec(SandboxSpec spec);
  explicit CheckedSpec(SandboxSpec spec) : spec_(std::move(spec)) {}
  SandboxSpec spec_;
};

// The part of CheckSpec that concerns limits: what no kernel takes.
void CheckLimits(const Limits& limits);

// Refuses absurd or hostile values with a reason: ids outside the range, NUL bytes, paths with
// "..", over-long lists. Throws base::Error (kInvalid).
CheckedSpec CheckSpec(SandboxSpec spec);

}  // namespace rundlet::runtime
