#include "rootfs/requirements/resolver_protocol.h"

#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/text.h"
#include "base/url.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/formats/wheel_name.h"
#include "rootfs/net/fetch.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kPackageLimit = 5000;

[[noreturn]] void RefuseLock(std::string_view name, std::string cause, std::string hint = {}) {
  throw base::Error(base::Fault::kInvalid, fmt::format("locking `{}`", base::Printable(name)))
      .Because(std::move(cause))
      .Hint(std::move(hint));
}

void CheckIndexUrl(const std::string& url) {
  const bool web = url.starts_with("https://") || url.starts_with("http://");
  if (web && url.find('@') == url.npos && url.find_first_of(" \t\n\r\"") == url.npos) return;
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("using package index `{}`", base::Printable(url)))
      .Because("it is not a plain http or https URL without credentials");
}

std::string TextOf(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

base::Digest DigestOf(const nlohmann::json& wheel, const std::string& name) {
  const auto hashes = wheel.find("hashes");
  if (hashes == wheel.end() || !hashes->is_object() || TextOf(*hashes, "sha256").empty()) {
    RefuseLock(name, "the package index gives no sha256 for its wheel");
  }
  const auto digest = base::Digest::Parse(TextOf(*hashes, "sha256"));
  if (!digest.has_value()) RefuseLock(name, "the sha256 of its wheel is malformed");
  return *digest;
}

std::string NameOfWheel(const nlohmann::json& wheel) {
  const std::string name = TextOf(wheel, "name");
  return name.empty() ? base::FilenameOfUrl(TextOf(wheel, "url")) : name;
}

// uv lists every wheel that fits the image.
const nlohmann::json& ChooseWheel(const std::string& name, const nlohmann::json& wheels,
                                  const std::vector<base::Digest>& hashes) {
  const nlohmann::json* chosen = nullptr;
  std::optional<WheelName> best;
  for (const nlohmann::json& wheel : wheels) {
    if (!wheel.is_object()) RefuseLock(name, "its wheel is no table");
    if (!hashes.empty() &&
        std::find(hashes.begin(), hashes.end(), DigestOf(wheel, name)) == hashes.end()) {
      continue;
    }
    const WheelName parts = ParseWheelName(NameOfWheel(wheel));
    if (best.has_value() && !IsPreferred(parts, *best)) continue;
    best = parts;
    chosen = &wheel;
  }
  if (chosen == nullptr) {
    RefuseLock(name, "none of its wheels for this image has one of the given hashes",
               "every package needs its hash, those that others bring along too");
  }
  return *chosen;
}

// A wheel that was put into the store before: uv saw it as a file.
const Distribution& ChooseNamed(const std::string& name, const nlohmann::json& archive,
                                const WheelChoice& choice) {
  const base::Digest digest = DigestOf(archive, name);
  const auto found = std::find_if(choice.named.begin(), choice.named.end(),
                                  [&](const Distribution& one) { return one.sha256 == digest; });
  if (found == choice.named.end() || found->name != name)
    RefuseLock(name, "it comes from an archive that nobody asked for");
  // Of a wheel that was built, they are its source's.
  if (!choice.hashes.empty() && !found->source.has_value() &&
      std::find(choice.hashes.begin(), choice.hashes.end(), digest) == choice.hashes.end()) {
    RefuseLock(name, "its wheel has none of the given hashes");
  }
  return *found;
}

Distribution ReadPackage(const nlohmann::json& package, const WheelChoice& choice) {
  if (!package.is_object()) RefuseLock("?", "a package of the lock is no table");
  Distribution distribution;
  distribution.name = NormaliseName(TextOf(package, "name"));
  distribution.version = TextOf(package, "version");
  const std::string& name = distribution.name;
  if (const auto archive = package.find("archive"); archive != package.end()) {
    if (!archive->is_object()) RefuseLock(name, "its archive is no table");
    return ChooseNamed(name, *archive, choice);
  }
  for (const char* source : {"vcs", "directory"}) {
    if (package.contains(source))
      RefuseLock(name, fmt::format("it comes from a {}, not from the package index", source));
  }
  const auto wheels = package.find("wheels");
  if (wheels == package.end() || !wheels->is_array() || wheels->empty()) {
    RefuseLock(name, "no wheel fits this image; only an sdist is offered",
               "require a version that has a wheel");
  }
  const nlohmann::json& wheel = ChooseWheel(name, *wheels, choice.hashes);
  distribution.url = TextOf(wheel, "url");
  if (distribution.url.empty()) RefuseLock(name, "its wheel has no URL");
  distribution.filename = NameOfWheel(wheel);
  if (const auto size = wheel.find("size"); size != wheel.end() && size->is_number_unsigned()) {
    distribution.size = size->get<uint64_t>();
  }
  distribution.sha256 = DigestOf(wheel, name);
  CheckDistribution(distribution);
  return distribution;
}

// uv's "cause:" lines of the first error, joined into one text; its "hint:" paragraph apart.
struct UvMessage {
  std::vector<std::string> causes;
  std::string hint;
};

// In the style of our messages: lower case, no full stop.
std::string Worded(std::string text) {
  if (text.ends_with('.')) text.pop_back();
  const auto is_upper = [&](size_t i) {
    return i < text.size() && text[i] >= 'A' && text[i] <= 'Z';
  };
  if (is_upper(0) && !is_upper(1)) text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

UvMessage ReadUvMessage(std::string_view text) {
  constexpr std::string_view kError = "error: ";
  constexpr std::string_view kCause = "cause: ";
  constexpr std::string_view kHint = "hint: ";
  UvMessage message;
  bool in_hint = false;
  for (const std::string& raw : base::Split(base::Printable(text.substr(0, 1 << 16)), '\n')) {
    const std::string_view line = base::Trim(raw);
    if (line.starts_with(kHint)) {
      in_hint = message.hint.empty();
      if (in_hint) message.hint = line.substr(kHint.size());
    } else if (line.starts_with(kError) || line.starts_with(kCause)) {
      in_hint = false;
      message.causes.emplace_back(line.substr(line.find(": ") + 2));
    } else if (!line.empty() && (in_hint || !message.causes.empty())) {
      (in_hint ? message.hint : message.causes.back()) += " " + std::string(line);
    }
  }
  for (std::string& cause : message.causes) cause = Worded(std::move(cause));
  return message;
}

// "because foo was not found in the package registry and ..." -> "foo".
std::string UnknownPackage(std::string_view cause) {
  const size_t end = cause.find(" was not found in the ");
  if (end == cause.npos) return {};
  const std::string_view before = cause.substr(0, end);
  const std::string_view name = before.substr(before.rfind(' ') + 1);
  return IsProjectName(name) ? std::string(name) : std::string();
}

bool Has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// What uv reads for a requirement: a wheel that was named is a file in its sandbox.
std::string LineFor(Requirement requirement, const std::map<base::Digest, std::string>& wheels) {
  if (!requirement.sha256.has_value()) return requirement.Text();
  const std::string marker = std::exchange(requirement.marker, {});
  const std::string& path = wheels.at(*requirement.sha256);
  requirement.sha256.reset();
  requirement.url.clear();
  requirement.path.clear();
  return requirement.Text() + " @ file://" + path + (marker.empty() ? "" : " ; " + marker);
}

constexpr const char* kConstraints = "constraints.txt";
constexpr const char* kPins = "pyproject.toml";

std::string InsideFile(const char* name) { return fmt::format("{}/{}", kResolveInside, name); }

// What uv reads about indexes that are for some packages only: a project that asks for these once
// more, as its source is taken only where a package is asked for, and says where each comes from.
// Its strings hold nothing that TOML would have escaped (CheckIndexes).
std::string PinsText(const ResolveRequest& request) {
  std::string wanted;
  std::string sources;
  std::string indexes;
  for (const PinnedIndex& index : request.set.indexes) {
    CheckIndexUrl(index.url);
    indexes += fmt::format("[[tool.uv.index]]\nname = \"{}\"\nurl = \"{}\"\nexplicit = true\n",
                           index.name, index.url);
    for (const std::string& package : index.packages) {
      if (request.pinned.contains(package)) wanted += fmt::format("\"{}\", ", package);
      for (const Requirement& requirement : request.set.requirements) {
        if (requirement.name == package && !requirement.sha256.has_value())
          wanted += fmt::format("\"{}\", ", requirement.Text());
      }
      sources += fmt::format("\"{}\" = {{ index = \"{}\" }}\n", package, index.name);
    }
  }
  return fmt::format(
      "[project]\nname = \"your-requirements\"\nversion = \"0\"\ndependencies = [{}]\n"
      "[tool.uv.sources]\n{}{}",
      wanted, sources, indexes);
}

// "only light==9.0 is available and all versions of vision depend on light<2": `light`, `vision`.
bool IsSpokenOf(const std::string& name, std::string_view cause) {
  const auto is_part = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  };
  for (size_t at = cause.find(name); at != cause.npos; at = cause.find(name, at + 1)) {
    const size_t end = at + name.size();
    if ((at == 0 || !is_part(cause[at - 1])) && (end == cause.size() || !is_part(cause[end])))
      return true;
  }
  return false;
}

std::set<std::string> PinnedNames(const RequirementSet& set) {
  std::set<std::string> names;
  for (const PinnedIndex& index : set.indexes)
    names.insert(index.packages.begin(), index.packages.end());
  // A wheel that is named itself comes from no index.
  for (const Requirement& requirement : set.requirements) {
    if (requirement.sha256.has_value()) names.erase(requirement.name);
  }
  return names;
}

}  // namespace

ResolveCommand MakeResolveCommand(const ResolveRequest& request) {
  CheckIndexUrl(request.index);
  ResolveCommand command;
  command.argv = {"/env/bin/uv", "pip",           "compile",       "-",
                  "--no-config", "--only-binary", ":all:",         "--format",
                  "pylock.toml", "--python",      request.python,  "--default-index",
                  request.index, "--no-header",   "--no-annotate", "--no-progress",
                  "--color",     "never",         "--cache-dir",   "/out"};
  command.environment = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                         {"HOME", "/tmp/home"},
                         {"UV_NO_CONFIG", "1"},
                         {"UV_PYTHON_DOWNLOADS", "never"},
                         {"UV_HTTP_TIMEOUT", "900"},
                         {"UV_HTTP_RETRIES", "2"},
                         {"UV_KEYRING_PROVIDER", "disabled"}};
  for (const Requirement& requirement : request.set.requirements)
    command.input += LineFor(requirement, request.wheels) + "\n";
  std::string constraints;
  for (const Requirement& constraint : request.set.constraints)
    constraints += LineFor(constraint, request.wheels) + "\n";
  if (!constraints.empty()) {
    command.argv.insert(command.argv.end(), {"--constraints", InsideFile(kConstraints)});
    command.files.emplace(kConstraints, std::move(constraints));
  }
  if (!request.set.uploaded_before.empty())
    command.argv.insert(command.argv.end(), {"--exclude-newer", request.set.uploaded_before});
  if (!request.set.indexes.empty()) {
    command.argv.push_back(InsideFile(kPins));
    command.files.emplace(kPins, PinsText(request));
  }
  if (request.set.closed) command.argv.emplace_back("--no-deps");
  return command;
}

Lock ReadLockDocument(std::string_view document, const WheelChoice& choice) {
  const nlohmann::json answer = nlohmann::json::parse(document, nullptr, false);
  const nlohmann::json data =
      answer.is_object() ? answer.value("data", nlohmann::json()) : nlohmann::json();
  if (!data.is_object() || !TextOf(data, "lock-version").starts_with("1.")) {
    RefuseLock("pylock.toml", "its lock-version is not 1.x");
  }
  const nlohmann::json packages = data.value("packages", nlohmann::json::array());
  if (!packages.is_array() || packages.size() > kPackageLimit)
    RefuseLock("pylock.toml", "its packages are no list, or too many");
  Lock lock;
  for (const nlohmann::json& package : packages)
    lock.distributions.push_back(ReadPackage(package, choice));
  std::sort(lock.distributions.begin(), lock.distributions.end(),
            [](const Distribution& a, const Distribution& b) { return a.name < b.name; });
  for (size_t i = 1; i < lock.distributions.size(); ++i) {
    if (lock.distributions[i - 1].name == lock.distributions[i].name) {
      RefuseLock(lock.distributions[i].name, "the lock has it twice");
    }
  }
  return lock;
}

Lock ParseLock(WorkerClient& workers, std::string_view pylock, const WheelChoice& choice,
               const base::CancelToken* cancel) {
  WorkerJob job;
  job.command = "parse-toml";
  // What a tool in the image printed need not be UTF-8.
  job.request = nlohmann::json({{"text", pylock}})
                    .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return ReadLockDocument(workers.Run(job, {}, cancel), choice);
}

std::vector<std::string> ReadResolveWarnings(std::string_view stderr_text) {
  constexpr std::string_view kWarning = "warning: ";
  std::vector<std::string> warnings;
  for (const std::string& raw :
       base::Split(base::Printable(stderr_text.substr(0, 1 << 16)), '\n')) {
    const std::string_view line = base::Trim(raw);
    if (line.starts_with(kWarning) && Has(line, " is yanked"))
      warnings.push_back(Worded(std::string(line.substr(kWarning.size()))));
  }
  return warnings;
}

std::set<std::string> PinnedAmong(const RequirementSet& set, const Lock& lock) {
  const std::set<std::string> names = PinnedNames(set);
  std::set<std::string> among;
  for (const Distribution& one : lock.distributions) {
    if (names.contains(one.name)) among.insert(one.name);
  }
  return among;
}

std::set<std::string> PinnedAmong(const RequirementSet& set, std::string_view stderr_text) {
  const std::vector<std::string> causes = ReadUvMessage(stderr_text).causes;
  if (causes.empty()) return {};
  const std::set<std::string> names = PinnedNames(set);
  std::set<std::string> among;
  for (const std::string& name : names) {
    if (IsSpokenOf(name, causes.back())) among.insert(name);
  }
  return among;
}

base::Error ExplainResolveFailure(std::string_view stderr_text) {
  const UvMessage message = ReadUvMessage(stderr_text);
  const std::string whole = base::Join(message.causes, ": ");
  if (Has(message.hint, "network was disabled") || Has(whole, "error sending request") ||
      Has(whole, "dns error") || Has(whole, "failed to fetch") || Has(whole, "client error")) {
    base::Error error(base::Fault::kHost, "asking the package index");
    for (const std::string& cause : message.causes) error.Because(cause);
    error.SetHint(
        "check the network, the index URL, the proxy and the CA bundle of this host (`rundlet "
        "doctor`)");
    return error;
  }
  const std::string cause = message.causes.empty() ? "" : message.causes.back();
  base::Error error(base::Fault::kInvalid, "resolving the requirements");
  if (const std::string name = UnknownPackage(cause); !name.empty()) {
    error.Because(fmt::format("`{}` was not found in the package index", name));
    error.SetHint("check the spelling of its name");
  } else if (Has(cause, "no usable wheels") || Has(cause, "no wheels with a matching")) {
    error.Because(cause);
    error.SetHint(
        "only wheels are installed: require a version that has one for this Python and platform, "
        "or "
        "have its source archive built (`--build NAME`, or `build = [\"NAME\"]` below [python])");
  } else if (Has(message.hint, "`exclude-newer`")) {
    error.Because(cause);
    error.SetHint(
        "what was uploaded later than `exclude-newer` says, or nobody knows when, is left out");
  } else if (!cause.empty()) {
    error.Because(cause);
  } else {
    error.Because("the resolver failed and said nothing");
  }
  return error;
}

}  // namespace rundlet::rootfs
