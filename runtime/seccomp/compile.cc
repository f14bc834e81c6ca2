// Build tool: prints seccomp/policy.h as a compiled BPF program in a C++ file. Compiling costs 1.5
// ms, more than everything else a start does in its user-space part; so it is done once, here.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "runtime/seccomp/policy.h"

namespace {

constexpr uint64_t kNamespaceFlags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                                     CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWTIME;
constexpr uint64_t kPushInput = TIOCSTI;
constexpr uint64_t kConsole = TIOCLINUX;
constexpr uint64_t kLow32 =
    0xffffffff;  // the kernel looks only at the low half of a request or family

void Require(int result, const char* what) {
  if (result >= 0) return;
  std::fprintf(stderr, "compiling the seccomp policy: %s: error %d\n", what, -result);
  std::exit(1);
}

// Negative: not a call of this architecture; it stays at ENOSYS.
int NumberOf(const char* name) {
  for (const auto& newer : rundlet::runtime::kNewerCalls) {
    if (std::strcmp(newer.name, name) == 0) return newer.number;
  }
  return seccomp_syscall_resolve_name(name);
}

void Allow(scmp_filter_ctx filter, const char* name) {
  const int number = NumberOf(name);
  if (number < 0) return;
  Require(seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0), name);
}

void Deny(scmp_filter_ctx filter, const char* name) {
  const int number = NumberOf(name);
  if (number < 0) return;
  Require(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0), name);
}

void AddArgumentRules(scmp_filter_ctx filter) {
  Require(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                           SCMP_A0(SCMP_CMP_MASKED_EQ, kNamespaceFlags, 0)),
          "clone");
  for (uint64_t flag = 1; flag <= kNamespaceFlags; flag <<= 1) {
    if ((kNamespaceFlags & flag) == 0) continue;
    Require(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)),
            "clone with namespaces");
  }
  // clone3's flags are behind a pointer; ENOSYS makes the C library use clone. It is the default
  // action.
  for (const int family : {AF_UNIX, AF_INET, AF_INET6}) {
    for (const int call : {SCMP_SYS(socket), SCMP_SYS(socketpair)}) {
      Require(
          seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                           SCMP_A0(SCMP_CMP_MASKED_EQ, kLow32, static_cast<scmp_datum_t>(family))),
          "socket");
    }
  }
  Require(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                           SCMP_A0(SCMP_CMP_MASKED_EQ, kLow32, AF_NETLINK),
                           SCMP_A2(SCMP_CMP_MASKED_EQ, kLow32, 0 /* NETLINK_ROUTE */)),
          "netlink");
}

// Every ioctl but the two that push input into a terminal.
void AddIoctlRules(scmp_filter_ctx filter) {
  for (const uint64_t request : {kPushInput, kConsole}) {
    Require(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, kLow32, request)),
            "ioctl");
  }
  // A rule cannot say "all but", so: the two (0x5412, 0x541C) differ from each other in the bits
  // 0x0E only. Any other request differs from both in a bit outside those, or has another pattern
  // of them.
  constexpr uint64_t kVarying = kPushInput ^ kConsole;
  constexpr uint64_t kCommon = kLow32 & ~kVarying;
  for (int bit = 0; bit < 32; ++bit) {
    const uint64_t mask = uint64_t{1} << bit;
    if ((kCommon & mask) == 0) continue;
    Require(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, mask, ~kPushInput & mask)),
            "ioctl");
  }
  for (uint64_t pattern = 0; pattern <= kVarying; ++pattern) {
    if ((pattern & ~kVarying) != 0) continue;
    if (pattern == (kPushInput & kVarying) || pattern == (kConsole & kVarying)) continue;
    Require(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, kVarying, pattern)),
            "ioctl");
  }
}

std::vector<sock_filter> Export(scmp_filter_ctx filter) {
  FILE* file = std::tmpfile();
  if (file == nullptr) Require(-errno, "temporary file");
  Require(seccomp_export_bpf(filter, fileno(file)), "export");
  const long size =
      std::ftell(file) >= 0 && std::fseek(file, 0, SEEK_END) == 0 ? std::ftell(file) : 0;
  std::rewind(file);
  std::vector<sock_filter> program(static_cast<size_t>(size) / sizeof(sock_filter));
  if (program.empty() ||
      std::fread(program.data(), sizeof(sock_filter), program.size(), file) != program.size()) {
    Require(-EIO, "reading the program");
  }
  std::fclose(file);
  return program;
}

}  // namespace

int main() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
  if (filter == nullptr) Require(-ENOMEM, "init");
  Require(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "architecture");
  Require(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "binary tree");
  for (const char* name : rundlet::runtime::kAllowed) Allow(filter, name);
  for (const char* name : rundlet::runtime::kDenied) Deny(filter, name);
  AddArgumentRules(filter);
  AddIoctlRules(filter);
  std::puts(
      "#include \"runtime/seccomp/filter.h\"\n\nnamespace rundlet::runtime {\n\n"
      "const sock_filter kFilter[] = {");
  const std::vector<sock_filter> program = Export(filter);
  for (const sock_filter& instruction : program) {
    std::printf("    {0x%04x, %u, %u, 0x%08x},\n", instruction.code, instruction.jt, instruction.jf,
                instruction.k);
  }
  std::printf("};\nconst size_t kFilterLength = %zu;\n\n}  // namespace rundlet::runtime\n",
              program.size());
  seccomp_release(filter);
  return 0;
}
