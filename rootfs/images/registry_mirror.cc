#include "rootfs/images/registry_mirror.h"

#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

base::Error RefuseMirror(std::string_view text, std::string why) {
  return base::Error(base::Fault::kInvalid, fmt::format("using registry mirror `{}`",
                                                        base::Printable(text.substr(0, 300))))
      .Because(std::move(why))
      .Hint("a mirror is given as `docker.io=https://mirror.example` or with a folder behind it");
}

// A name that a reference takes for a registry.
bool NamesRegistry(const std::string& name) {
  try {
    const std::string registry = ParseReference(name + "/x").registry;
    return registry == name;
  } catch (const base::Error&) {
    return false;
  }
}

RegistryMirror ParseMirror(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == text.npos) throw RefuseMirror(text, "it does not say whose mirror it is");
  RegistryMirror mirror;
  mirror.registry = text.substr(0, equals);
  std::string_view url = text.substr(equals + 1);
  constexpr std::string_view kHttps = "https://";
  constexpr std::string_view kHttp = "http://";
  if (url.starts_with(kHttp)) mirror.transport = RegistryTransport::kPlainHttp;
  if (!url.starts_with(kHttp) && !url.starts_with(kHttps)) {
    throw RefuseMirror(text, "it is not an http or https URL");
  }
  url.remove_prefix(url.starts_with(kHttp) ? kHttp.size() : kHttps.size());
  while (url.ends_with('/')) url.remove_suffix(1);
  const size_t slash = url.find('/');
  mirror.host = url.substr(0, slash);
  if (slash != url.npos) mirror.folder = std::string(url.substr(slash + 1)) + "/";
  if (!NamesRegistry(mirror.registry) || !NamesRegistry(mirror.host)) {
    throw RefuseMirror(text, "it is not made of two host names, each with an optional port");
  }
  try {
    ParseReference(mirror.host + "/" + mirror.folder + "x");
  } catch (const base::Error&) {
    throw RefuseMirror(text, "behind its host stands no folder of repositories");
  }
  return mirror;
}

}  // namespace

std::vector<RegistryMirror> ParseMirrors(std::string_view text) {
  std::vector<RegistryMirror> mirrors;
  for (const std::string& one : base::Split(text, ',')) {
    if (!base::Trim(one).empty()) mirrors.push_back(ParseMirror(base::Trim(one)));
  }
  return mirrors;
}

Reference AtMirror(const Reference& reference, const RegistryMirror& mirror) {
  Reference there = reference;
  there.registry = mirror.host;
  there.repository = mirror.folder + reference.repository;
  return there;
}

}  // namespace rundlet::rootfs
