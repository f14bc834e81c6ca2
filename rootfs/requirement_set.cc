#include "rootfs/requirement_set.h"

#include <set>
#include <string_view>

namespace rundlet::rootfs {
namespace {

std::string TextOfItem(const Requirement& requirement) { return requirement.Text(); }
std::string TextOfItem(const base::Digest& digest) { return digest.hex(); }

// Each once, in an order of their own.
template <typename T>
void AddSorted(std::string_view what, const std::vector<T>& items, base::Sha256& hash) {
  std::set<std::string> texts;
  for (const T& item : items) texts.insert(TextOfItem(item));
  for (const std::string& text : texts) {
    hash.AddField(what);
    hash.AddField(text);
  }
}

}  // namespace

base::Digest DigestOf(const RequirementSet& set) {
  base::Sha256 hash;
  hash.AddField("requirements 1");
  hash.AddField(set.closed ? "closed" : "open");
  AddSorted("requirement", set.requirements, hash);
  AddSorted("constraint", set.constraints, hash);
  AddSorted("hash", set.hashes, hash);
  return hash.Finish();
}

RequirementSet ParseRequirements(const std::vector<std::string>& texts) {
  RequirementSet set;
  for (const std::string& text : texts) set.requirements.push_back(ParseRequirement(text));
  return set;
}

}  // namespace rundlet::rootfs
