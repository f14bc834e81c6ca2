// The messages on the launcher's socket (SOCK_SEQPACKET): first what the engine made ready, then
// one fixed header with descriptors a sandbox, and one fixed reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "runtime/spec/controllers.h"
#include "runtime/spec/record.h"

namespace rundlet::runtime {

// The launcher's descriptors.
constexpr int kLauncherSocket = 3;
constexpr int kLauncherStore = 4;  // a detached clone of the state directory's mount

constexpr size_t kMaxDescriptors = 253;  // SCM_MAX_FD
constexpr size_t kMaxSpecBytes = size_t{16} << 20;

// The first message. It does not come with the start: what it brings and the launcher's start take
// as long, and need not wait for each other. Descriptors: the directories of the control groups, in
// this order; then a network namespace, unless the engine could not make one.
struct SetupHeader {
  struct Kind {
    uint32_t version;      // a GroupVersion
    uint32_t controllers;  // bit i: Controller i
  };
  static constexpr size_t kMost = 8;  // a hierarchy has at least one of our controllers
  uint32_t count;
  Kind kinds[kMost];
};
SetupHeader PackKinds(const std::vector<GroupKind>& kinds);
std::vector<GroupKind> UnpackKinds(const SetupHeader& header);

// Descriptors in order: spec (memory file), status pipe, lifeline, outcome file, standard input,
// output, error, the program if any, files, mounts. For a program with a terminal of its own, the
// place of each standard stream is taken by a socket: by it the child sends the terminal's other
// side (one byte with the descriptor).
struct LaunchHeader {
  uint32_t has_program;
  uint32_t files;
  uint32_t mounts;
  uint32_t last;  // the launcher ends with its reply
};
constexpr size_t kFixedDescriptors = 7;

// False when the other end is gone.
bool SendWithDescriptors(int socket, const void* bytes, size_t size,
                         const std::vector<int>& descriptors);
// Receives one message of exactly `size` bytes. False at the end of file.
bool ReceiveWithDescriptors(int socket, void* bytes, size_t size,
                            std::vector<base::UniqueFd>* descriptors);
// `listener` is set when there is one.
bool ReceiveReply(int socket, LaunchReply* reply, base::UniqueFd* pidfd, base::UniqueFd* listener);

}  // namespace rundlet::runtime
