// Which addresses the fetcher may connect to when nobody vouched for the host.
#pragma once

#include <sys/socket.h>

namespace rundlet::rootfs::worker {

// False for loopback, private, link-local, carrier, benchmark, multicast and reserved addresses,
// also when an IPv4 address is wrapped in an IPv6 one (mapped, 6to4, NAT64), and for other
// families.
bool IsPublicAddress(const sockaddr& address);

}  // namespace rundlet::rootfs::worker
