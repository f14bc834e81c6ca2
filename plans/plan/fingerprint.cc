#include "plans/plan/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <tuple>

#include "plans/shown_text.h"

namespace rundlet::plans {
namespace {

using nlohmann::json;

constexpr int kRecordVersion = 1;
constexpr size_t kMaxShownValue = 40;  // columns of a parameter's value in a reason

// In digests and records: never renamed.
constexpr std::array<std::string_view, 10> kKindNames = {
    "step",      "code",  "image",     "package",  "environment",
    "parameter", "input", "selection", "variable", "protocol"};

std::string_view NameOf(PartKind kind) { return kKindNames[static_cast<size_t>(kind)]; }

std::optional<PartKind> ParseKind(std::string_view text) {
  for (size_t i = 0; i < kKindNames.size(); ++i) {
    if (kKindNames[i] == text) return static_cast<PartKind>(i);
  }
  return std::nullopt;
}

// "`year`" and what to call it.
std::string Subject(const FingerprintPart& part) {
  switch (part.kind) {
    case PartKind::kStep:
      return "kind of step";
    case PartKind::kCode:
      return "code";
    case PartKind::kImage:
      return "image";
    case PartKind::kPackage:
      return fmt::format("`{}`", part.name);
    case PartKind::kEnvironment:
      return "environment";
    case PartKind::kParameter:
      return fmt::format("parameter `{}`", part.name);
    case PartKind::kInput:
      return fmt::format("input `{}`", part.shown);
    case PartKind::kSelection:
      return fmt::format("columns or filter of input `{}`", part.shown);
    case PartKind::kVariable:
      return fmt::format("environment variable `{}`", part.name);
    case PartKind::kProtocol:
      return "rundlet's step protocol";
  }
  return {};
}

std::string Changed(const FingerprintPart& before, const FingerprintPart& now) {
  if (now.kind == PartKind::kInput && before.shown != now.shown) {
    return fmt::format("input `{}` now reads `{}`", now.name, now.shown);
  }
  const bool tells = now.kind == PartKind::kImage || now.kind == PartKind::kPackage ||
                     now.kind == PartKind::kParameter;
  if (!tells || before.shown == now.shown) return Subject(now) + " changed";
  return fmt::format("{} {} -> {}", now.kind == PartKind::kImage ? "Python" : Subject(now),
                     Cut(OneLine(before.shown), kMaxShownValue),
                     Cut(OneLine(now.shown), kMaxShownValue));
}

std::string Added(const FingerprintPart& part) {
  if (part.kind != PartKind::kPackage) return Subject(part) + " added";
  return fmt::format("{} {} added", Subject(part), part.shown);
}

auto KeyOf(const FingerprintPart& part) { return std::tie(part.kind, part.name); }

}  // namespace

base::Digest FingerprintOf(const FingerprintParts& parts) {
  base::Sha256 hash;
  hash.AddField("rundlet step 1");
  for (const FingerprintPart& part : parts) {
    if (part.kind == PartKind::kPackage) continue;
    hash.AddField(NameOf(part.kind));
    hash.AddField(part.name);
    hash.AddField(part.value);
  }
  return hash.Finish();
}

std::vector<std::string> ChangesBetween(const FingerprintParts& before,
                                        const FingerprintParts& now) {
  std::vector<std::string> changes;
  bool explains_environment = false;
  auto old = before.begin();
  auto current = now.begin();
  while (old != before.end() || current != now.end()) {
    const size_t told = changes.size();
    const bool gone =
        current == now.end() || (old != before.end() && KeyOf(*old) < KeyOf(*current));
    const bool fresh = !gone && (old == before.end() || KeyOf(*current) < KeyOf(*old));
    const PartKind kind = gone ? old->kind : current->kind;
    if (gone) {
      // An input's selection comes and goes with it.
      if (kind != PartKind::kSelection) changes.push_back(Subject(*old) + " removed");
      ++old;
    } else if (fresh) {
      if (kind != PartKind::kSelection) changes.push_back(Added(*current));
      ++current;
    } else {
      const bool known = kind == PartKind::kEnvironment && explains_environment;
      if (old->value != current->value && !known) changes.push_back(Changed(*old, *current));
      ++old;
      ++current;
    }
    explains_environment |=
        changes.size() > told && (kind == PartKind::kImage || kind == PartKind::kPackage);
  }
  return changes;
}

std::string PartsToJson(const FingerprintParts& parts) {
  json list = json::array();
  for (const FingerprintPart& part : parts)
    list.push_back({NameOf(part.kind), part.name, part.value, part.shown});
  return json{{"version", kRecordVersion}, {"parts", std::move(list)}}.dump();
}

std::optional<FingerprintParts> PartsFromJson(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object() || document.value("version", json()) != kRecordVersion)
    return std::nullopt;
  const auto list = document.find("parts");
  if (list == document.end() || !list->is_array()) return std::nullopt;
  FingerprintParts parts;
  for (const json& entry : *list) {
    if (!entry.is_array() || entry.size() != 4) return std::nullopt;
    if (!std::all_of(entry.begin(), entry.end(),
                     [](const json& field) { return field.is_string(); })) {
      return std::nullopt;
    }
    const auto kind = ParseKind(entry[0].get_ref<const std::string&>());
    if (!kind) return std::nullopt;
    parts.push_back({*kind, entry[1], entry[2], entry[3]});
  }
  const auto not_before = [](const FingerprintPart& a, const FingerprintPart& b) {
    return !(KeyOf(a) < KeyOf(b));
  };
  if (std::adjacent_find(parts.begin(), parts.end(), not_before) != parts.end())
    return std::nullopt;
  return parts;
}

}  // namespace rundlet::plans
