// What uv keeps between its runs: below cache/uv, a folder for each interpreter and each set of
// logins. An image's Python runs beside uv and may write there.
#pragma once

#include <string>
#include <vector>

#include "base/digest.h"
#include "engine/core/engine.h"

namespace rundlet::engine {

class UvCache {
 public:
  // For an interpreter and the realms of its indexes (none: for all); made, and noted as used.
  UvCache(Engine& engine, const base::Digest& interpreter, const std::vector<base::Digest>& realms);
  // Removes it when it takes more than 1 GiB of the disk, which uv's cache alone does not.
  ~UvCache();
  UvCache(const UvCache&) = delete;
  UvCache& operator=(const UvCache&) = delete;

  const std::string& folder() const { return folder_; }  // relative to the state directory

 private:
  void Bound();

  Engine& engine_;
  std::string folder_;
};

}  // namespace rundlet::engine
