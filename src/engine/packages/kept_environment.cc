#include "engine/packages/kept_environment.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "rootfs/packages/bytecode.h"
#include "rootfs/packages/flat_tree.h"
#include "rootfs/packages/package.h"
#include "rootfs/packages/venv.h"

namespace rundlet::engine {
namespace {

using store::Kind;

constexpr char kEndOfLowers[] = "";

// Lines: the digest, the lowers, an empty one, the warnings, each with its end.
std::string EncodeReady(const ReadyEnvironment& ready) {
  std::vector<std::string> lines = {ready.environment.digest.hex()};
  const std::vector<std::string>& lowers = ready.environment.lowers;
  lines.insert(lines.end(), lowers.begin(), lowers.end());
  lines.emplace_back(kEndOfLowers);
  lines.insert(lines.end(), ready.warnings.begin(), ready.warnings.end());
  return base::Join(lines, "\n");
}

std::optional<ReadyEnvironment> DecodeReady(std::string_view text) {
  const std::vector<std::string> lines = base::Split(text, '\n');
  const auto digest = base::Digest::Parse(lines.front());
  const auto end = std::find(lines.begin() + 1, lines.end(), kEndOfLowers);
  if (!digest || end == lines.end()) return std::nullopt;
  ReadyEnvironment ready;
  ready.environment = {*digest, {lines.begin() + 1, end}};
  ready.warnings.assign(end + 1, lines.end());
  return ready;
}

}  // namespace

KeptEnvironment::KeptEnvironment(Engine& engine, const rootfs::Image& image,
                                 const rootfs::Lock& lock)
    : engine_(engine) {
  base::Sha256 hash;
  hash.AddField("kept environment 2");
  hash.AddField(image.manifest_digest.hex());
  const auto add = [&](Kind kind, std::string key) {
    hash.AddField(key);
    entries_.emplace_back(kind, std::move(key));
  };
  add(Kind::kSkeleton, rootfs::VenvKey(image.interpreter));
  for (const rootfs::Distribution& one : lock.distributions) {
    add(Kind::kPackage, rootfs::PackageKey(one, image.interpreter.tag));
    add(Kind::kLower, rootfs::LowerKey(entries_.back().second, image.interpreter));
  }
  for (const std::string& name : lock.preferred) {
    hash.AddField("preferred");  // a name may look like a key
    hash.AddField(name);
  }
  key_ = hash.Finish();
}

std::optional<ReadyEnvironment> KeptEnvironment::Find() const {
  std::optional<store::UsedSet> used = engine_.store().UseSet(key_);
  if (!used) return std::nullopt;
  std::optional<ReadyEnvironment> ready = DecodeReady(used->meta);
  if (ready) ready->leases.push_back(std::move(used->lease));
  return ready;
}

void KeptEnvironment::Keep(const ReadyEnvironment& ready,
                           const std::optional<std::string>& flat) const {
  store::EntrySet set = {entries_, EncodeReady(ready)};
  if (flat) set.entries.emplace_back(Kind::kEnvironment, *flat);
  engine_.store().KeepSet(key_, set);
}

}  // namespace rundlet::engine
