#include "engine/upkeep/prune_daily.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <ctime>
#include <optional>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/upkeep/gc.h"
#include "engine/upkeep/prune_packages.h"

namespace rundlet::engine {
namespace {

constexpr const char* kStamp = "cache/pruned";  // its modification time: when it was last done
constexpr int64_t kDay = 24 * 3600;

// A state directory that was never pruned is new, or as good as that: its day begins now. So does
// that of a clock that was set back.
bool IsDue(Engine& engine) {
  const int state = engine.store().dir();
  const std::optional<struct stat> last = base::StatAt(state, kStamp);
  const int64_t age = last ? std::time(nullptr) - last->st_mtim.tv_sec : -1;
  if (age >= 0 && age < kDay) return false;
  base::MakeDirs(state, "cache", 0700);
  base::ReplaceAt(state, kStamp, "", 0600, base::Durability::kNone);
  return age >= kDay;
}

void Note(EventBus& events, std::string text) {
  events.Send({.kind = EventKind::kNote, .task = "pruning", .text = std::move(text)});
}

void Prune(Engine& engine, EventBus& events) {
  const Config& config = engine.config();
  std::optional<std::chrono::seconds> age;
  if (config.prune_after != 0) age = std::chrono::seconds(config.prune_after * kDay);
  const Pruning packages = PrunePackages(
      engine, {.unused_for = age, .max_bytes = config.prune_packages, .dry_run = false});
  const std::vector<GcItem> others = RemoveReusable(
      engine.store(),
      {.mode = GcMode::kRemove, .unused_for = age, .max_bytes = config.prune_caches});
  if (packages.removed.empty() && others.empty()) return;
  uint64_t bytes = 0;
  for (const PrunedPackage& one : packages.removed) bytes += one.bytes;
  for (const GcItem& one : others) bytes += one.bytes;
  Note(events, fmt::format("{} packages and downloads, {} locks and caches removed, {}: not used "
                           "for long, or too much (RUNDLET_PRUNE_AFTER)",
                           packages.removed.size(), others.size(), base::HumanBytes(bytes)));
}

}  // namespace

void PruneDaily(Engine& engine, EventBus& events, const base::CancelToken* cancel) {
  const Config& config = engine.config();
  const bool wanted = config.prune_after != 0 || config.prune_packages || config.prune_caches;
  if (!wanted || config.offline || (cancel != nullptr && cancel->cancelled())) return;
  try {
    if (IsDue(engine)) Prune(engine, events);
  } catch (const base::Error& error) {
    Note(events, fmt::format("it ended early: {}", base::Trim(error.Render())));
  }
}

}  // namespace rundlet::engine
