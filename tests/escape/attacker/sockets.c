#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack.h"

enum { kFamilies = 46, kNetlinkProtocols = 23 };
static const struct {
  const char* name;
  int type;
} kTypes[] = {{"stream", SOCK_STREAM}, {"datagram", SOCK_DGRAM}, {"raw", SOCK_RAW}};

/* Made by the bare call: what the C library's int would hide is passed on. */
static const char* Make(long family, long type) {
  return Verdict(syscall(SYS_socket, family, type, 0));
}

static const char* Pair(long family, long type) {
  int pair[2];
  return Verdict(syscall(SYS_socketpair, family, type, 0, pair));
}

static const char* Netlink(long protocol, long type) {
  return Verdict(syscall(SYS_socket, AF_NETLINK, type, protocol));
}

/* Raw sockets want a capability; AF_UNIX takes SOCK_RAW for datagrams. */
static const char* Expected(int family, int type) {
  switch (family) {
    case AF_UNIX:
      return "DONE";
    case AF_INET:
      return type == SOCK_RAW ? "EPERM|EPROTONOSUPPORT" : "DONE";
    case AF_INET6: /* EAFNOSUPPORT: of hosts without it */
      return type == SOCK_RAW ? "EPERM|EPROTONOSUPPORT|EAFNOSUPPORT" : "DONE|EAFNOSUPPORT";
    case AF_NETLINK:
      return type == SOCK_STREAM ? "ESOCKTNOSUPPORT" : "DONE";
    default:
      return "ENOSYS";
  }
}

static const char* ExpectedPair(int family) {
  switch (family) {
    case AF_UNIX:
      return "DONE";
    case AF_INET:
    case AF_INET6:
      return "EOPNOTSUPP|EPERM|EPROTONOSUPPORT|EAFNOSUPPORT";
    default:
      return "ENOSYS";
  }
}

void Sockets(void) {
  const long high = 0x100000000L;
  for (int family = 0; family < kFamilies; ++family) {
    for (size_t i = 0; i < sizeof kTypes / sizeof *kTypes; ++i) {
      const int type = kTypes[i].type;
      const char* name = kTypes[i].name;
      const char* held = Expected(family, type);
      Try(held, Make, family, type, "sockets/family %d %s", family, name);
      Try(held, Make, family | high, type, "sockets/family %d %s with a high bit", family, name);
      Try(ExpectedPair(family), Pair, family, type, "sockets/pair of family %d %s", family, name);
    }
  }
  for (long protocol = 1; protocol < kNetlinkProtocols; ++protocol) {
    Try("ENOSYS", Netlink, protocol, SOCK_RAW, "sockets/netlink %ld", protocol);
    Try("ENOSYS", Netlink, protocol | high, SOCK_RAW, "sockets/netlink %ld with a high bit",
        protocol);
  }
}
