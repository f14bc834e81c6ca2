// WWW-Authenticate: how a server wants to be convinced (RFC 9110, 11.6.1).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rundlet::rootfs::worker {

struct Challenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case
};

// The challenges of one header's value, which may hold several. What cannot be read ends the list.
std::vector<Challenge> ParseChallenges(std::string_view value);

}  // namespace rundlet::rootfs::worker
