// The proxy of one sandbox that may reach a few hosts: outside of it, accepting on a socket of its
// network namespace. Every connection is hostile on both sides.
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/walls.h"
#include "rootfs/worker/command.h"
#include "rootfs/worker/http/fetch_address.h"
#include "rootfs/worker/http/fetch_url.h"
#include "rootfs/worker/servers/client_hello.h"
#include "rootfs/worker/servers/connect_head.h"
#include "rootfs/worker/servers/connection.h"

namespace rundlet::rootfs::worker {
namespace {

using base::UniqueFd;

constexpr auto kConnectTime = std::chrono::seconds(20);
constexpr int kIdleMilliseconds = 600'000;
constexpr size_t kBuffer = size_t{64} * 1024;
// "unrecognized_name", fatal: what a TLS library says of a server that does not know the name.
constexpr std::array<char, 7> kWrongName = {0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70};

struct Policy {
  std::set<base::HostPort> allowed;
  std::vector<std::string> private_hosts;
};

// Reads the head; what follows it stays in `bytes`.
base::HostPort ReadTarget(int client, std::string& bytes, const Policy& policy) {
  const size_t length = ReadHead(client, bytes);
  ConnectHead head = ReadConnectHead(std::string_view(bytes).substr(0, length));
  if (head.status != 200) throw Refusal{head.status, head.reason};
  if (!policy.allowed.contains(head.target) && base::Holds(base::Wall::kAllowedHosts))
    throw Refusal{403, fmt::format("`{}` is not allowed to this sandbox", head.target.text())};
  bytes.erase(0, length);
  return head.target;
}

struct AddressesCloser {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, AddressesCloser>;

Addresses Resolve(const base::HostPort& target) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error =
      getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &wanted, &list);
  if (error != 0)
    throw Refusal{502, fmt::format("resolving `{}`: {}", target.host, gai_strerror(error))};
  return Addresses(list);
}

UniqueFd ConnectTo(const addrinfo& address) {
  UniqueFd server(
      socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!server.valid()) return {};
  if (connect(server.get(), address.ai_addr, address.ai_addrlen) < 0) {
    int error = errno;
    socklen_t size = sizeof error;
    if (error != EINPROGRESS || !WaitUntil(server.get(), POLLOUT, Clock::now() + kConnectTime) ||
        getsockopt(server.get(), SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0) {
      return {};
    }
  }
  return server;
}

// The addresses are looked at once and used as they are: a second look-up could give others.
UniqueFd ConnectToServer(const base::HostPort& target, const Policy& policy) {
  const Addresses addresses = Resolve(target);
  const bool may_be_private =
      std::any_of(policy.private_hosts.begin(), policy.private_hosts.end(),
                  [&target](const std::string& host) { return IsSameHost(host, target.host); });
  bool tried = false;
  for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) {
    if (!may_be_private && !IsPublicAddress(*one->ai_addr)) continue;
    tried = true;
    UniqueFd server = ConnectTo(*one);
    if (server.valid()) return server;
  }
  throw Refusal{tried ? 502 : 403, tried ? fmt::format("`{}` cannot be reached", target.text())
                                         : fmt::format("`{}` has an inner address", target.host)};
}

// The tunnel's first bytes: a TLS client's hello to the host that was asked for.
void RequireHello(int client, std::string& bytes, const base::HostPort& target) {
  if (!base::Holds(base::Wall::kServerName)) return;
  const auto deadline = Clock::now() + kHeadTime;
  while (true) {
    const ClientHello hello =
        ReadClientHello({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    if (hello.state == ClientHello::State::kNamed && IsSameHost(hello.host, target.host)) return;
    if (hello.state != ClientHello::State::kPartial) {
      WriteAll(client, {kWrongName.data(), kWrongName.size()}, deadline);
      throw Refusal{};
    }
    if (!ReadMore(client, bytes, kMaxClientHello, deadline)) throw Refusal{};
  }
}

// One direction of the tunnel.
class Direction {
 public:
  Direction(int from, int to, std::string pending)
      : from_(from), to_(to), pending_(std::move(pending)) {}

  pollfd source() const { return {open_ && pending_.size() < kBuffer ? from_ : -1, POLLIN, 0}; }
  pollfd sink() const { return {pending_.empty() ? -1 : to_, POLLOUT, 0}; }
  bool done() const { return !open_ && pending_.empty(); }

  // False when the connection is broken.
  bool Read() {
    char buffer[16 * 1024];
    const ssize_t count = read(from_, buffer, sizeof buffer);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    pending_.append(buffer, static_cast<size_t>(count));
    if (count == 0) open_ = false;
    PassEndOn();
    return true;
  }
  bool Write() {
    const ssize_t count = send(to_, pending_.data(), pending_.size(), MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    pending_.erase(0, static_cast<size_t>(count));
    PassEndOn();
    return true;
  }

 private:
  void PassEndOn() const {
    if (done()) shutdown(to_, SHUT_WR);
  }

  int from_;
  int to_;
  std::string pending_;
  bool open_ = true;
};

void Tunnel(int client, int server, std::string first) {
  Direction up(client, server, std::move(first));
  Direction down(server, client, {});
  while (!up.done() || !down.done()) {
    pollfd polled[4] = {up.source(), up.sink(), down.source(), down.sink()};
    const int ready = poll(polled, 4, kIdleMilliseconds);
    if (ready == 0 || (ready < 0 && errno != EINTR)) return;
    if (ready < 0) continue;
    if (polled[0].revents != 0 && !up.Read()) return;
    if (polled[1].revents != 0 && !up.Write()) return;
    if (polled[2].revents != 0 && !down.Read()) return;
    if (polled[3].revents != 0 && !down.Write()) return;
  }
}

void Serve(UniqueFd client, const Policy& policy) {
  const auto answer = [&client](int status, const std::string& reason) {
    // The reason stands in the first line, which is what most clients show.
    return WriteAll(client.get(), fmt::format("HTTP/1.1 {} {}\r\n\r\n", status, reason),
                    Clock::now() + kHeadTime);
  };
  try {
    std::string bytes;
    const base::HostPort target = ReadTarget(client.get(), bytes, policy);
    const UniqueFd server = ConnectToServer(target, policy);
    if (!answer(200, "Connection established")) return;
    RequireHello(client.get(), bytes, target);
    Tunnel(client.get(), server.get(), std::move(bytes));
  } catch (const Refusal& refusal) {
    if (refusal.status == 0) return;
    answer(refusal.status, refusal.reason);
    Linger(client.get());
  } catch (const std::exception&) {
    // Out of memory, say: this connection ends.
  }
}

Policy PolicyOf(const nlohmann::json& request) {
  Policy policy;
  for (const std::string text : request.at("allowed")) {
    const auto host = base::ParseHostPort(text);
    if (!host.has_value()) throw base::Error(base::Fault::kBug, fmt::format("allowing `{}`", text));
    policy.allowed.insert(*host);
  }
  policy.private_hosts = request.at("private_hosts");
  return policy;
}

}  // namespace

// Request: {"allowed": ["host:port", ...], "private_hosts": [...]}; the first file is the socket.
// Never answers: it serves until it is killed.
nlohmann::json Proxy(const nlohmann::json& request) {
  const Policy policy = PolicyOf(request);
  ServeConnections(kFirstFile, [&policy](UniqueFd client) { Serve(std::move(client), policy); });
}

}  // namespace rundlet::rootfs::worker
