#include "rootfs/requirements/lock.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

constexpr int kVersion = 4;
constexpr size_t kDistributionLimit = 5000;

std::optional<Realm> DecodeRealm(const nlohmann::json& item) {
  if (item.is_null()) return std::nullopt;
  const auto digest = base::Digest::Parse(item.at("digest").get<std::string>());
  const std::string index = item.at("index");
  if (item.size() != 2 || !digest.has_value() || !IsFetchableUrl(index)) {
    throw base::Error(base::Fault::kInvalid, "reading a lock")
        .Because("a realm has unknown or bad fields");
  }
  return Realm{index, *digest};
}

nlohmann::json EncodeRealm(const std::optional<Realm>& realm) {
  if (!realm.has_value()) return nullptr;
  return {{"index", realm->index}, {"digest", realm->digest.hex()}};
}

// In the order of Source::Kind.
constexpr std::array kSourceKinds = {"index", "url", "git"};

nlohmann::json EncodeSource(const std::optional<Source>& source) {
  if (!source.has_value()) return nullptr;
  return {{"kind", kSourceKinds.at(static_cast<size_t>(source->kind))},
          {"filename", source->filename},
          {"url", source->url},
          {"commit", source->commit},
          {"size", source->size},
          {"sha256", source->sha256.hex()}};
}

std::optional<Source> DecodeSource(const nlohmann::json& item) {
  if (item.is_null()) return std::nullopt;
  Source source;
  const std::string kind = item.at("kind");
  const auto* const found = std::find(kSourceKinds.begin(), kSourceKinds.end(), kind);
  const auto digest = base::Digest::Parse(item.at("sha256").get<std::string>());
  if (item.size() != 6 || found == kSourceKinds.end() || !digest.has_value()) {
    throw base::Error(base::Fault::kInvalid, "reading a lock")
        .Because("a source has unknown or bad fields");
  }
  source.kind = static_cast<Source::Kind>(found - kSourceKinds.begin());
  item.at("filename").get_to(source.filename);
  item.at("url").get_to(source.url);
  item.at("commit").get_to(source.commit);
  item.at("size").get_to(source.size);
  source.sha256 = *digest;
  return source;
}

Distribution DecodeDistribution(const nlohmann::json& item) {
  Distribution distribution;
  item.at("name").get_to(distribution.name);
  item.at("version").get_to(distribution.version);
  item.at("filename").get_to(distribution.filename);
  item.at("url").get_to(distribution.url);
  item.at("size").get_to(distribution.size);
  const auto digest = base::Digest::Parse(item.at("sha256").get<std::string>());
  if (item.size() != 8 || !digest.has_value()) {
    throw base::Error(base::Fault::kInvalid, "reading a lock")
        .Because("a distribution has unknown or bad fields");
  }
  distribution.sha256 = *digest;
  distribution.realm = DecodeRealm(item.at("realm"));
  distribution.source = DecodeSource(item.at("source"));
  CheckDistribution(distribution);
  return distribution;
}

Lock Decode(const nlohmann::json& document) {
  const auto refuse = [](std::string cause) {
    throw base::Error(base::Fault::kInvalid, "reading a lock").Because(std::move(cause));
  };
  if (document.at("version") != kVersion) refuse("its version is not known");
  const nlohmann::json& items = document.at("distributions");
  if (document.size() != 4 || !items.is_array() || items.size() > kDistributionLimit) {
    refuse("it has unknown or bad fields");
  }
  Lock lock;
  lock.resolved_at = document.at("resolved_at").get<int64_t>();
  document.at("warnings").get_to(lock.warnings);
  for (const nlohmann::json& item : items) {
    lock.distributions.push_back(DecodeDistribution(item));
    const size_t count = lock.distributions.size();
    if (count > 1 && lock.distributions[count - 2].name >= lock.distributions[count - 1].name) {
      refuse("its distributions are not in order");
    }
  }
  return lock;
}

}  // namespace

std::string EncodeLock(const Lock& lock) {
  nlohmann::json items = nlohmann::json::array();
  for (const Distribution& one : lock.distributions) {
    items.push_back({{"name", one.name},
                     {"version", one.version},
                     {"filename", one.filename},
                     {"url", one.url},
                     {"size", one.size},
                     {"sha256", one.sha256.hex()},
                     {"realm", EncodeRealm(one.realm)},
                     {"source", EncodeSource(one.source)}});
  }
  const nlohmann::json document = {{"version", kVersion},
                                   {"resolved_at", lock.resolved_at},
                                   {"warnings", lock.warnings},
                                   {"distributions", std::move(items)}};
  return document.dump(1) + "\n";
}

Lock DecodeLock(std::string_view text) {
  try {
    return Decode(nlohmann::json::parse(text));
  } catch (const nlohmann::json::exception& error) {
    throw base::Error(base::Fault::kInvalid, "reading a lock")
        .Because(base::Printable(error.what()));
  }
}

base::Digest LockInputsKey(const LockInputs& inputs) {
  base::Sha256 hash;
  hash.AddField("lock inputs 5");
  hash.AddField(inputs.interpreter.hex());
  hash.AddField(inputs.machine);
  hash.AddField(inputs.index);
  hash.AddField(DigestOf(inputs.set).hex());
  for (const base::Digest& realm : inputs.realms) hash.AddField(realm.hex());
  return hash.Finish();
}

}  // namespace rundlet::rootfs
