// Asks a package index for a project's page.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rootfs/worker/fetch_http.h"
#include "rootfs/worker/index_page.h"

namespace rundlet::rootfs::worker {

struct IndexAnswer {
  std::vector<IndexFile> files;
  std::optional<HttpFailure> failure;  // then there are none
};

// `index`: the URL of a simple index. Throws base::Error (kInvalid) for a page that is none.
IndexAnswer GetIndexPage(const HttpSettings& settings, std::string index,
                         const std::string& project);

}  // namespace rundlet::rootfs::worker
