// Package indexes that ask for credentials: where these come from, and who they make one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "rootfs/formats/distribution.h"

namespace rundlet::rootfs {

// What is presented to an index. Never part of an argument, a log, a lock or a message.
struct IndexLogin {
  std::string url = {};  // the index
  std::string user = {};
  std::string password = {};
};

// An index as one run reaches it.
struct IndexAccess {
  IndexLogin login = {};  // without a user: nothing is presented
  base::Digest id = {};   // IndexId

  std::optional<Realm> realm() const {
    if (login.user.empty()) return std::nullopt;
    return Realm{login.url, id};
  }
};

// The login that a netrc file has for a host; nothing when it has none. Its "default" is nobody's:
// it would be sent to every host. Throws base::Error (kInvalid) for a file that cannot be read as
// one, without a word of it.
struct NetrcLogin {
  std::string user;
  std::string password;
};
std::optional<NetrcLogin> LoginIn(std::string_view netrc, std::string_view host);

// What to do when one refuses.
std::string CredentialsHint(const std::string& host);

// A digest under a key that stays in the state directory: what it was made of cannot be found by
// trying.
base::Digest KeyedDigest(const base::Digest& key, std::string_view what, std::string_view text);

// Tells an index and what is presented to it from all others.
base::Digest IndexId(const base::Digest& key, const IndexLogin& login);

}  // namespace rundlet::rootfs
