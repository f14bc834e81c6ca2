#include "engine/core/config.h"

#include <sched.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>

#include "base/error.h"

namespace rundlet::engine {
namespace {

// The public index, as every Python tool knows it.
constexpr const char* kPublicIndex = "https://pypi.org/simple";
// Where distributions keep the host's bundle: Debian and most others, Fedora, openSUSE.
constexpr std::array kHostBundles = {"/etc/ssl/certs/ca-certificates.crt",
                                     "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"};

std::string Variable(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

std::string DefaultStateDir() {
  if (geteuid() == 0) return "/var/lib/rundlet";
  const std::string data = Variable({"XDG_DATA_HOME"});
  return (data.empty() ? Variable({"HOME"}) + "/.local/share" : data) + "/rundlet";
}

std::string HostBundle() {
  for (const char* path : kHostBundles) {
    if (access(path, R_OK) == 0) return path;
  }
  return kHostBundles.front();
}

struct Range {
  uint32_t least;
  uint32_t most;
};
constexpr Range kSeconds{1, 24 * 3600};
constexpr Range kDays{0, 100 * 366};
constexpr Range kMebibytes{0, UINT32_MAX};

uint32_t Number(const char* name, const std::string& text, Range range, const char* unit) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (whole && number >= range.least && number <= range.most) return number;
  throw base::Error(base::Fault::kInvalid, fmt::format("reading {} `{}`", name, text))
      .Because(
          fmt::format("it is not a number of {} from {} to {}", unit, range.least, range.most));
}

// In bytes.
uint64_t Mebibytes(const char* name, const std::string& text) {
  return uint64_t{Number(name, text, kMebibytes, "MiB")} << 20;
}

unsigned UsableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) < 0) return 1;
  return static_cast<unsigned>(CPU_COUNT(&set));
}

}  // namespace

Config ConfigFromEnvironment() {
  Config config;
  config.state_dir = Variable({"RUNDLET_STATE"});
  if (config.state_dir.empty()) config.state_dir = DefaultStateDir();
  config.index_url = Variable({"RUNDLET_INDEX"});
  if (config.index_url.empty()) config.index_url = kPublicIndex;
  while (config.index_url.ends_with('/')) config.index_url.pop_back();
  if (!config.index_url.starts_with("https://") && !config.index_url.starts_with("http://")) {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("using package index `{}`", config.index_url))
        .Because("it is not an http or https URL")
        .Hint("set RUNDLET_INDEX to the URL of a simple index, the one that ends in /simple");
  }
  if (config.index_url.find('@') != std::string::npos) {
    throw base::Error(base::Fault::kInvalid, "using the package index of RUNDLET_INDEX")
        .Because("credentials in its URL would end up in logs and locks")
        .Hint("they belong into a netrc file (NETRC, or ~/.netrc)");
  }
  config.ca_bundle = Variable({"RUNDLET_CA_BUNDLE", "SSL_CERT_FILE"});
  if (config.ca_bundle.empty()) config.ca_bundle = HostBundle();
  config.proxy_http = Variable({"http_proxy"});
  config.proxy_https = Variable({"https_proxy", "HTTPS_PROXY"});
  config.no_proxy = Variable({"no_proxy", "NO_PROXY"});
  config.private_hosts = Variable({"RUNDLET_PRIVATE_HOSTS"});
  config.netrc = Variable({"NETRC"});
  if (const std::string home = Variable({"HOME"}); config.netrc.empty() && !home.empty())
    config.netrc = home + "/.netrc";
  config.mirrors = rootfs::ParseMirrors(Variable({"RUNDLET_MIRRORS"}));
  config.offline = !Variable({"RUNDLET_OFFLINE"}).empty();
  if (const std::string text = Variable({"RUNDLET_NETWORK_TIMEOUT"}); !text.empty())
    config.network_timeout = Number("RUNDLET_NETWORK_TIMEOUT", text, kSeconds, "seconds");
  if (const std::string text = Variable({"RUNDLET_BUILD_TIMEOUT"}); !text.empty())
    config.build_timeout = Number("RUNDLET_BUILD_TIMEOUT", text, kSeconds, "seconds");
  if (const std::string text = Variable({"RUNDLET_PYTHON_TIMEOUT"}); !text.empty())
    config.python_timeout = Number("RUNDLET_PYTHON_TIMEOUT", text, kSeconds, "seconds");
  if (const std::string text = Variable({"RUNDLET_KEPT_INPUTS"}); !text.empty())
    config.kept_inputs = Mebibytes("RUNDLET_KEPT_INPUTS", text);
  if (const std::string text = Variable({"RUNDLET_PRUNE_AFTER"}); !text.empty())
    config.prune_after = Number("RUNDLET_PRUNE_AFTER", text, kDays, "days");
  if (const std::string text = Variable({"RUNDLET_PRUNE_PACKAGES"}); !text.empty())
    config.prune_packages = Mebibytes("RUNDLET_PRUNE_PACKAGES", text);
  if (const std::string text = Variable({"RUNDLET_PRUNE_CACHES"}); !text.empty())
    config.prune_caches = Mebibytes("RUNDLET_PRUNE_CACHES", text);
  config.cores = UsableCores();
  return config;
}

}  // namespace rundlet::engine
