#include "store/record.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::store {
namespace {

constexpr int kVersion = 1;

base::Error CannotRecord(const EntryInfo& info, std::string cause) {
  return base::Error(base::Fault::kInvalid,
                     fmt::format("recording `{}`", base::Printable(info.name)))
      .Because(std::move(cause));
}

}  // namespace

std::string EncodeRecord(const EntryInfo& info) {
  // In the order in which a person reads it. `meta` is kept as text, so that it comes back byte for
  // byte.
  const nlohmann::ordered_json record = {
      {"version", kVersion}, {"kind", FolderOf(info.kind)},   {"key", info.key},
      {"name", info.name},   {"output", info.output.hex()},   {"bytes", info.bytes},
      {"files", info.files}, {"created_at", info.created_at}, {"meta", info.meta}};
  std::string text;
  try {
    text = record.dump(1) + "\n";
  } catch (const nlohmann::json::exception&) {
    throw CannotRecord(info, "its name or its meta is not UTF-8");
  }
  if (text.size() > kRecordLimit) {
    throw CannotRecord(info,
                       fmt::format("its record is larger than {}", base::HumanBytes(kRecordLimit)));
  }
  return text;
}

std::optional<EntryInfo> DecodeRecord(Kind kind, std::string_view key, std::string_view text) {
  try {
    const auto record = nlohmann::json::parse(text);
    if (record.at("version").get<int>() != kVersion || record.at("kind") != FolderOf(kind) ||
        record.at("key") != key) {
      return std::nullopt;
    }
    const auto output = base::Digest::Parse(record.at("output").get_ref<const std::string&>());
    if (!output) return std::nullopt;
    EntryInfo info;
    info.kind = kind;
    info.key = key;
    info.name = record.at("name").get<std::string>();
    info.meta = record.at("meta").get<std::string>();
    info.output = *output;
    info.bytes = record.at("bytes").get<uint64_t>();
    info.files = record.at("files").get<uint64_t>();
    info.created_at = record.at("created_at").get<int64_t>();
    return info;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace rundlet::store
