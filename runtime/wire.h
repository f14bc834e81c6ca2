// The messages on the launcher's socket (SOCK_SEQPACKET): one fixed header with descriptors, one
// fixed reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "runtime/record.h"

namespace rundlet::runtime {

// The launcher's descriptors.
constexpr int kLauncherSocket = 3;
constexpr int kLauncherStore = 4;  // a detached clone of the state directory's mount
// From here on the engine's control groups, in the order of the launcher's arguments (GroupText).
constexpr int kLauncherGroups = 5;

constexpr size_t kMaxDescriptors = 253;  // SCM_MAX_FD
constexpr size_t kMaxSpecBytes = size_t{16} << 20;

// Descriptors in order: spec (memory file), status pipe, lifeline, outcome file, standard input,
// output, error, the program if any, files, mounts.
struct LaunchHeader {
  uint32_t has_program;
  uint32_t files;
  uint32_t mounts;
};
constexpr size_t kFixedDescriptors = 7;

// False when the other end is gone.
bool SendWithDescriptors(int socket, const void* bytes, size_t size,
                         const std::vector<int>& descriptors);
// Receives one message of exactly `size` bytes. False at the end of file.
bool ReceiveWithDescriptors(int socket, void* bytes, size_t size,
                            std::vector<base::UniqueFd>* descriptors);
bool ReceiveReply(int socket, LaunchReply* reply, base::UniqueFd* pidfd);

}  // namespace rundlet::runtime
