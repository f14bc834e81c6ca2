// What a step's result depends on, part by part: the digest decides whether to run, the parts say
// why.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace rundlet::plans {

// The order is the order in which changes are told.
enum class PartKind {
  kStep,  // its name and kind
  kCode,
  kImage,        // the interpreter identity; shown: the Python version
  kPackage,      // a distribution's version; explains kEnvironment and is not hashed itself
  kEnvironment,  // the environment's digest
  kParameter,
  kInput,      // the fingerprint of what makes the table; shown: the table's name
  kSelection,  // columns and filter of an input; shown: the table's name
  kVariable,   // an environment variable; a digest of its value, which may be a secret
  kProtocol,   // of the program that runs steps
};

struct FingerprintPart {
  PartKind kind = PartKind::kStep;
  // Of the package, parameter, argument or variable; empty where there is one only.
  std::string name;
  std::string value;  // what is compared and hashed
  std::string shown;  // for people; may be empty
  bool operator==(const FingerprintPart&) const = default;
};

using FingerprintParts = std::vector<FingerprintPart>;  // sorted by kind and name, each once

// Covers kind, name and value of every part but packages. The bytes are our own (Sha256::AddField)
// and are pinned by a golden test: a change makes every kept result unreachable.
base::Digest FingerprintOf(const FingerprintParts& parts);

// What differs, in words, most telling first: "code changed", "`pandas` 2.2.2 -> 2.2.3", "input
// `flights` changed".
std::vector<std::string> ChangesBetween(const FingerprintParts& before,
                                        const FingerprintParts& now);

// Records of parts, as JSON text of our own: {"version": 1, "parts": [["code", "", "9f...", ""],
// ...]}.
std::string PartsToJson(const FingerprintParts& parts);
// nullopt for another version or anything else: then nothing is known of the earlier run.
std::optional<FingerprintParts> PartsFromJson(std::string_view text);

}  // namespace rundlet::plans
