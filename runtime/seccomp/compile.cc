// Build tool: prints seccomp/policy.h as a BPF program in a C++ file.
//
// Compiling at run time would cost more than everything else a start does in its user-space part;
// and the kernel compiles the program again at each load, so a short one counts: a binary search
// over ranges of numbers that jumps to answers that stand there once, with a few instructions for
// the calls whose arguments matter.
// (libseccomp, from which the numbers come, writes four times as many.)
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "runtime/seccomp/policy.h"

namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
constexpr uint32_t kX32 = 0x40000000;  // calls of the x32 table have this bit
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the system calls of this architecture are not described"
#endif

constexpr uint32_t kNamespaceFlags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                                     CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWTIME;
constexpr uint32_t kUnknown = SECCOMP_RET_ERRNO | ENOSYS;
constexpr uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;
constexpr size_t kNumbers = 1024;  // above every number of today's kernels; what follows is unknown

using Program = std::vector<sock_filter>;

sock_filter Load(size_t offset) {
  return {BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(offset)};
}
// The low half of an argument: flags, requests and families are 32 bits wide to the kernel, and
// what a program puts into the upper half must not matter. Little-endian.
sock_filter LoadArgument(size_t index) {
  return Load(offsetof(seccomp_data, args) + index * sizeof(uint64_t));
}
sock_filter Jump(unsigned test, uint32_t value, size_t if_true, size_t if_false) {
  return {static_cast<uint16_t>(BPF_JMP | BPF_K | test), static_cast<uint8_t>(if_true),
          static_cast<uint8_t>(if_false), value};
}
sock_filter Return(uint32_t action) { return {BPF_RET | BPF_K, 0, 0, action}; }

// Answers `then` when the loaded word passes the test; goes on otherwise.
void AnswerIf(Program& program, unsigned test, uint32_t value, uint32_t then) {
  program.push_back(Jump(test, value, 0, 1));
  program.push_back(Return(then));
}

void AnswerUnless(Program& program, uint32_t value, uint32_t then) {
  program.push_back(Jump(BPF_JEQ, value, 1, 0));
  program.push_back(Return(then));
}

Program Clone() {
  // clone3's flags are behind a pointer; ENOSYS makes the C library use clone.
  Program program = {LoadArgument(0)};
  AnswerIf(program, BPF_JSET, kNamespaceFlags, kRefuse);
  program.push_back(Return(SECCOMP_RET_ALLOW));
  return program;
}

// All but the two that push input into a terminal.
Program Ioctl() {
  Program program = {LoadArgument(1)};
  AnswerIf(program, BPF_JEQ, TIOCSTI, kRefuse);
  AnswerIf(program, BPF_JEQ, TIOCLINUX, kRefuse);
  program.push_back(Return(SECCOMP_RET_ALLOW));
  return program;
}

Program SocketPair() {
  Program program = {LoadArgument(0)};
  for (const auto family : {uint32_t{AF_UNIX}, uint32_t{AF_INET}, uint32_t{AF_INET6}}) {
    AnswerIf(program, BPF_JEQ, family, SECCOMP_RET_ALLOW);
  }
  program.push_back(Return(kUnknown));
  return program;
}

// As socketpair, and netlink for routes, which the C library asks for interfaces and addresses.
Program Socket() {
  Program program = SocketPair();
  program.pop_back();
  AnswerUnless(program, AF_NETLINK, kUnknown);
  program.push_back(LoadArgument(2));
  AnswerUnless(program, 0 /* NETLINK_ROUTE */, kUnknown);
  program.push_back(Return(SECCOMP_RET_ALLOW));
  return program;
}

struct Range {
  uint32_t first;
  Program program;  // what answers it
};

bool Same(const Program& a, const Program& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(sock_filter)) == 0;
}

// Negative: not a call of this architecture; it stays unknown.
int NumberOf(const char* name) {
  for (const auto& newer : rundlet::runtime::kNewerCalls) {
    if (std::strcmp(newer.name, name) == 0) return newer.number;
  }
  return seccomp_syscall_resolve_name(name);
}

std::vector<Range> Ranges() {
  std::vector<Program> answers(kNumbers, Program{Return(kUnknown)});
  const auto set = [&answers](const char* name, const Program& program) {
    const int number = NumberOf(name);
    if (number >= 0) answers.at(static_cast<size_t>(number)) = program;
  };
  for (const char* name : rundlet::runtime::kAllowed) set(name, {Return(SECCOMP_RET_ALLOW)});
  for (const char* name : rundlet::runtime::kDenied) set(name, {Return(kRefuse)});
  set("clone", Clone());
  set("ioctl", Ioctl());
  set("socket", Socket());
  set("socketpair", SocketPair());
  std::vector<Range> ranges;
  for (uint32_t number = 0; number < kNumbers; ++number) {
    if (ranges.empty() || !Same(ranges.back().program, answers[number])) {
      ranges.push_back({number, answers[number]});
    }
  }
  return ranges;
}

// What answers, each once, and where in the filter it begins.
struct Answers {
  explicit Answers(std::span<const Range> ranges, size_t begin) : end(begin) {
    for (const Range& range : ranges) {
      if (Find(range.program) != nullptr) continue;
      places.push_back({end, range.program});
      end += range.program.size();
    }
  }
  struct Place {
    size_t begin;
    Program program;
  };
  const Place* Find(const Program& program) const {
    for (const Place& place : places) {
      if (Same(place.program, program)) return &place;
    }
    return nullptr;
  }
  size_t end;
  std::vector<Place> places;
};

// Appends a binary search for the loaded number; returns where it begins.
size_t AddSearch(Program& program, std::span<const Range> ranges, const Answers& answers) {
  if (ranges.size() == 1) return answers.Find(ranges.front().program)->begin;
  const size_t middle = ranges.size() / 2;
  const size_t at = program.size();
  program.emplace_back();
  const size_t below = AddSearch(program, ranges.first(middle), answers) - at - 1;
  const size_t above = AddSearch(program, ranges.subspan(middle), answers) - at - 1;
  if (below > UINT8_MAX || above > UINT8_MAX) {
    std::fputs("compiling the system-call filter: an answer is too far for a jump\n", stderr);
    std::exit(1);
  }
  program[at] = Jump(BPF_JGE, ranges[middle].first, above, below);
  return at;
}

Program Compile() {
  Program program = {Load(offsetof(seccomp_data, arch))};
  program.push_back(Jump(BPF_JEQ, kArchitecture, 1, 0));
  program.push_back(Return(SECCOMP_RET_KILL_PROCESS));
  program.push_back(Load(offsetof(seccomp_data, nr)));
#if defined(__x86_64__)
  AnswerIf(program, BPF_JEQ, UINT32_MAX, kUnknown);  // -1 is no call of any table
  AnswerIf(program, BPF_JGE, kX32, SECCOMP_RET_KILL_PROCESS);
#endif
  const std::vector<Range> ranges = Ranges();
  const Answers answers(ranges, program.size() + ranges.size() - 1);
  AddSearch(program, ranges, answers);
  for (const Answers::Place& place : answers.places)
    program.insert(program.end(), place.program.begin(), place.program.end());
  return program;
}

}  // namespace

int main() {
  const Program program = Compile();
  if (program.size() > BPF_MAXINSNS) {
    std::fputs("compiling the system-call filter: it is too long\n", stderr);
    return 1;
  }
  std::puts(
      "#include \"runtime/seccomp/filter.h\"\n\nnamespace rundlet::runtime {\n\n"
      "const sock_filter kFilter[] = {");
  for (const sock_filter& instruction : program) {
    std::printf("    {0x%04x, %u, %u, 0x%08x},\n", instruction.code, instruction.jt, instruction.jf,
                instruction.k);
  }
  std::printf("};\nconst size_t kFilterLength = %zu;\n\n}  // namespace rundlet::runtime\n",
              program.size());
  return 0;
}
