#include "runtime/spec/wire.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace rundlet::runtime {

using base::UniqueFd;

SetupHeader PackKinds(const std::vector<GroupKind>& kinds) {
  RUNDLET_CHECK(kinds.size() <= SetupHeader::kMost);
  SetupHeader header{};
  for (const GroupKind& kind : kinds) {
    SetupHeader::Kind& packed = header.kinds[header.count++];
    packed.version = static_cast<uint32_t>(kind.version);
    for (const Controller controller : kind.controllers)
      packed.controllers |= 1u << static_cast<unsigned>(controller);
  }
  return header;
}

std::vector<GroupKind> UnpackKinds(const SetupHeader& header) {
  std::vector<GroupKind> kinds;
  for (size_t i = 0; i < header.count && i < SetupHeader::kMost; ++i) {
    GroupKind& kind = kinds.emplace_back();
    kind.version = static_cast<GroupVersion>(header.kinds[i].version);
    for (const Controller controller : kControllers) {
      if ((header.kinds[i].controllers >> static_cast<unsigned>(controller) & 1u) != 0)
        kind.controllers.insert(controller);
    }
  }
  return kinds;
}

bool SendWithDescriptors(int socket, const void* bytes, size_t size,
                         const std::vector<int>& descriptors) {
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  iovec vector{const_cast<void*>(bytes), size};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    const size_t length = descriptors.size() * sizeof(int);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(length);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(length);
    std::memcpy(CMSG_DATA(header), descriptors.data(), length);
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(size);
}

bool ReceiveWithDescriptors(int socket, void* bytes, size_t size,
                            std::vector<UniqueFd>* descriptors) {
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  iovec vector{bytes, size};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t received;
  do {
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return false;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      descriptors->emplace_back(fd);
    }
  }
  return received == static_cast<ssize_t>(size) &&
         (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0;
}

bool ReceiveReply(int socket, LaunchReply* reply, UniqueFd* pidfd, UniqueFd* listener) {
  std::vector<UniqueFd> descriptors;
  if (!ReceiveWithDescriptors(socket, reply, sizeof *reply, &descriptors)) return false;
  if (reply->pid <= 0) return true;
  if (descriptors.empty() || descriptors.size() > 2) return false;
  *pidfd = std::move(descriptors.front());
  if (descriptors.size() == 2) *listener = std::move(descriptors.back());
  return true;
}

}  // namespace rundlet::runtime
