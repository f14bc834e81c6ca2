#include "engine/sandbox/sandbox_network.h"

#include <nlohmann/json.hpp>

#include "engine/core/index_access.h"
#include "engine/core/network.h"
#include "engine/sandbox/image_sandbox.h"

namespace rundlet::engine {
namespace {

using Level = plans::Network::Level;

void SetProxyVariables(runtime::SandboxSpec& spec) {
  const std::string proxy = fmt::format("http://127.0.0.1:{}", runtime::kProxyPort);
  for (const char* name : {"https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"})
    SetVariable(spec, name, proxy);
  for (const char* name : {"no_proxy", "NO_PROXY"})
    SetVariable(spec, name, "localhost,127.0.0.1,::1");
}

void SetIndexVariables(runtime::SandboxSpec& spec) {
  const std::string index = fmt::format("http://127.0.0.1:{}/simple/", runtime::kProxyPort);
  for (const char* name : {"PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"})
    SetVariable(spec, name, index);
}

rootfs::WorkerJob ProxyJob(const Engine& engine, const plans::Network& network, int listener) {
  std::vector<std::string> allowed;
  for (const base::HostPort& host : network.allowed) allowed.push_back(host.text());
  const nlohmann::json request = {{"allowed", allowed},
                                  {"private_hosts", PrivateHosts(engine.config())}};
  return {.command = "proxy",
          .request = request.dump(),
          .files = {listener},
          .mounts = {},
          .network = runtime::Network::kHost};
}

rootfs::WorkerJob MirrorJob(const Engine& engine, int listener) {
  const nlohmann::json request = {{"index", engine.config().index_url}};
  return {.command = "mirror", .request = request.dump(), .files = {listener}, .mounts = {}};
}

}  // namespace

void ApplyNetwork(Engine& engine, const plans::Network& network, runtime::SandboxSpec& spec,
                  HandedMounts& handed) {
  if (network.level == Level::kNone) return;
  RequireNetwork(engine.config(), "giving a sandbox the network it asks for");
  switch (network.level) {
    case Level::kNone:
      break;
    case Level::kPackages:
      spec.network = runtime::Network::kProxied;
      SetIndexVariables(spec);
      return;
    case Level::kAllow:
      spec.network = runtime::Network::kProxied;
      AddBundle(handed, engine.config());
      SetProxyVariables(spec);
      break;
    case Level::kHost:
      spec.network = runtime::Network::kHost;
      AddNetworkFiles(handed, engine.config());
      break;
  }
  SetVariable(spec, "SSL_CERT_FILE", kBundleInside);
  SetVariable(spec, "REQUESTS_CA_BUNDLE", kBundleInside);
}

std::optional<runtime::Sandbox> StartProxy(Engine& engine, const plans::Network& network,
                                           runtime::Sandbox& sandbox) {
  if (!network.IsServed()) return std::nullopt;
  const base::UniqueFd listener = sandbox.TakeListener();
  if (network.level == Level::kAllow)
    return engine.workers().Start(ProxyJob(engine, network, listener.get()));
  Network index(engine.config(), engine.config().index_url);
  index.Present(AccessTo(engine, engine.config().index_url).login);
  rootfs::WorkerJob job = MirrorJob(engine, listener.get());
  rootfs::AddNetwork(index.settings(), job);
  return engine.workers().Start(job);
}

}  // namespace rundlet::engine
