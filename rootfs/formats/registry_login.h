// What somebody has to log in to a registry with. Never printed and never stored.
#pragma once

#include <string>

namespace rundlet::rootfs {

// All empty: nothing.
struct RegistryLogin {
  std::string user;
  std::string password;
  std::string identity_token;  // instead of the two: exchanged for tokens
};

enum class RegistryTransport { kHttps, kPlainHttp };

}  // namespace rundlet::rootfs
