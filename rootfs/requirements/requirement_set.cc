#include "rootfs/requirements/requirement_set.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "rootfs/formats/distribution.h"

namespace rundlet::rootfs {
namespace {

std::string TextOfItem(const Requirement& requirement) { return requirement.Text(); }
std::string TextOfItem(const std::string& text) { return text; }
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

[[noreturn]] void RefuseIndex(const PinnedIndex& index, std::string cause, std::string hint = {}) {
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("using package index `{}`", base::Printable(index.name)))
      .Because(std::move(cause))
      .Hint(std::move(hint));
}

void CheckIndex(PinnedIndex& index) {
  if (!IsProjectName(index.name)) RefuseIndex(index, "its name is not letters, digits and `-`");
  index.name = NormaliseName(index.name);
  while (index.url.ends_with('/')) index.url.pop_back();
  if (!IsFetchableUrl(index.url)) {
    RefuseIndex(index, "its URL is no plain http or https URL",
                "credentials in it would end up in logs and locks; they belong into a netrc file");
  }
  for (std::string& package : index.packages) {
    if (!IsProjectName(package))
      RefuseIndex(index,
                  fmt::format("`{}` is not the name of a package", base::Printable(package)));
    package = NormaliseName(package);
  }
  std::sort(index.packages.begin(), index.packages.end());
  index.packages.erase(std::unique(index.packages.begin(), index.packages.end()),
                       index.packages.end());
}

// "dddd-dd-dd": d stands for a digit, all else for itself.
bool HasForm(std::string_view text, std::string_view form) {
  return std::equal(text.begin(), text.end(), form.begin(), form.end(), [](char c, char f) {
    return f == 'd' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == f;
  });
}

}  // namespace

base::Digest DigestOf(const RequirementSet& set) {
  base::Sha256 hash;
  hash.AddField("requirements 1");
  hash.AddField(set.closed ? "closed" : "open");
  AddSorted("requirement", set.requirements, hash);
  AddSorted("constraint", set.constraints, hash);
  AddSorted("hash", set.hashes, hash);
  for (const PinnedIndex& index : set.indexes) {
    hash.AddField("index");
    hash.AddField(index.url);
    AddSorted("package", index.packages, hash);
  }
  AddSorted("built", set.built, hash);
  if (!set.uploaded_before.empty()) {
    hash.AddField("uploaded before");
    hash.AddField(set.uploaded_before);
  }
  return hash.Finish();
}

std::vector<PinnedIndex> CheckIndexes(std::vector<PinnedIndex> indexes) {
  std::set<std::string> names;
  std::set<std::string> packages;
  for (PinnedIndex& index : indexes) {
    CheckIndex(index);
    if (!names.insert(index.name).second) RefuseIndex(index, "another one has the same name");
    for (const std::string& package : index.packages) {
      if (!packages.insert(package).second)
        RefuseIndex(index, fmt::format("`{}` comes from another index already", package));
    }
  }
  std::sort(indexes.begin(), indexes.end(),
            [](const PinnedIndex& a, const PinnedIndex& b) { return a.name < b.name; });
  return indexes;
}

std::vector<std::string> CheckBuilt(std::vector<std::string> names) {
  for (std::string& name : names) {
    if (!IsProjectName(name)) {
      throw base::Error(base::Fault::kInvalid, fmt::format("building `{}`", base::Printable(name)))
          .Because("it is not the name of a package");
    }
    name = NormaliseName(name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::string ParseMoment(std::string_view text) {
  if (HasForm(text, "dddd-dd-dd")) return std::string(text) + "T00:00:00Z";
  if (HasForm(text, "dddd-dd-ddTdd:dd:ddZ")) return std::string(text);
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("reading the time `{}`", base::Printable(text)))
      .Because("it is not of the form 2026-01-31 or 2026-01-31T12:00:00Z");
}

RequirementSet ParseRequirements(const std::vector<std::string>& texts) {
  RequirementSet set;
  for (const std::string& text : texts) set.requirements.push_back(ParseRequirement(text));
  return set;
}

}  // namespace rundlet::rootfs
