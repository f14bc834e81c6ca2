// Finding what this user has for a registry, with this user's own rights.
#pragma once

#include "rootfs/formats/reference.h"
#include "rootfs/formats/registry_login.h"

namespace rundlet::cli {

// Looks into REGISTRY_AUTH_FILE, or else into containers' auth.json and docker's config.json, and
// asks the credential helper that they name. Nothing found gives an empty login. Throws
// base::Error.
rootfs::RegistryLogin FindRegistryLogin(const rootfs::Reference& reference);

}  // namespace rundlet::cli
