// What a registry wants to see before it answers: a password, or a token from its token server
// (the distribution project's token specification).
#pragma once

#include <string>
#include <vector>

#include "rootfs/formats/registry_login.h"
#include "rootfs/worker/http/fetch_http.h"

namespace rundlet::rootfs::worker {

struct Authorization {
  std::string user;
  std::string password;
  std::string token;
};

// Answers the challenges of a 401. `scope` is what we want, whatever the registry proposes. A token
// server is asked over https, over http only with kPlainHttp. Throws base::Error (kHost) when
// nothing that we have would help.
Authorization Authorize(const HttpSettings& settings, const std::vector<std::string>& challenges,
                        const RegistryLogin& login, const std::string& scope,
                        RegistryTransport transport);

}  // namespace rundlet::rootfs::worker
