// A document kept below cache/ under the digest of what it was made from. Losing it costs work
// only: it is not synced, and counts as absent when a power cut left a part of it. gc takes what
// was not used for long.
#pragma once

#include <optional>
#include <string>

#include "base/digest.h"
#include "engine/core/engine.h"

namespace rundlet::engine {

class KeptDocument {
 public:
  KeptDocument(Engine& engine, const std::string& folder, const base::Digest& key);

  std::optional<std::string> Find() const;
  void Keep(const std::string& text) const;

 private:
  int state_;
  std::string folder_;
  std::string path_;
};

}  // namespace rundlet::engine
