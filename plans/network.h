// What a step or command may reach.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/host_port.h"

namespace rundlet::plans {

struct Network {
  enum class Level {
    kNone,      // its own loopback
    kPackages,  // the package index, read-only, through a mirror of ours
    kAllow,     // these hosts only, by TLS, through a proxy of ours
    kHost,      // all that the host can
  };
  Level level = Level::kNone;
  std::vector<base::HostPort> allowed;  // kAllow: sorted, at least one

  // Something of ours outside serves it while it runs.
  bool IsServed() const { return level == Level::kPackages || level == Level::kAllow; }
  // "none", "packages", "host", "allow=idx.test:443,files.example.test:443": as in options and
  // documents.
  std::string text() const;
  bool operator==(const Network&) const = default;
};

// Nothing for a text that is none of these.
std::optional<Network> ParseNetwork(std::string_view text);

}  // namespace rundlet::plans
