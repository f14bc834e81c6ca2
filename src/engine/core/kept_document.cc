#include "engine/core/kept_document.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"

namespace rundlet::engine {
namespace {

constexpr size_t kKeptLimit = 64 << 20;

}  // namespace

KeptDocument::KeptDocument(Engine& engine, const std::string& folder, const base::Digest& key)
    : state_(engine.store().dir()), folder_("cache/" + folder), path_(folder_ + "/" + key.hex()) {}

std::optional<std::string> KeptDocument::Find() const {
  const auto file = base::TryOpenAt(state_, path_, O_RDONLY);
  if (!file.has_value()) return std::nullopt;
  futimens(file->get(), nullptr);  // for gc, by age; nothing depends on it
  const std::string kept = base::ReadFd(file->get(), kKeptLimit, path_);
  const size_t end = kept.find('\n');
  if (end == kept.npos) return std::nullopt;
  std::string text = kept.substr(end + 1);
  if (kept.substr(0, end) != base::Digest::Of(text).hex()) return std::nullopt;
  return text;
}

void KeptDocument::Keep(const std::string& text) const {
  base::MakeDirs(state_, folder_, 0700);
  base::ReplaceAt(state_, path_, base::Digest::Of(text).hex() + "\n" + text, 0600,
                  base::Durability::kNone);
}

}  // namespace rundlet::engine
