#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/child/child.h"
#include "runtime/child/defences.h"
#include "runtime/seccomp/filter.h"

namespace rundlet::runtime {
namespace {

// Root does not regain capabilities by exec, ids do not change them, and none of this can be
// undone.
constexpr unsigned long kSecureBits =
    SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
    SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

// What writing a layer's owners, modes and whiteouts needs, within the sandbox's own user
// namespace.
constexpr int kUnpackerCapabilities[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID};

constexpr uint64_t Bit(int capability) { return uint64_t{1} << capability; }

int SetCapabilities(uint64_t permitted, uint64_t inheritable) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (int word = 0; word < 2; ++word) {
    data[word].permitted = static_cast<uint32_t>(permitted >> (32 * word));
    data[word].effective = data[word].permitted;
    data[word].inheritable = static_cast<uint32_t>(inheritable >> (32 * word));
  }
  return static_cast<int>(syscall(SYS_capset, &header, data));
}

uint64_t WantedCapabilities(const Prepared& prepared) {
  uint64_t wanted = 0;
  switch (prepared.keeps) {
    case Keeps::kNothing:
      if (!Stands(Defence::kCapabilities)) wanted = Bit(CAP_LAST_CAP + 1) - 1;
      break;
    case Keeps::kUnpacker:
      for (const int capability : kUnpackerCapabilities) wanted |= Bit(capability);
      break;
    case Keeps::kInit:
      wanted = Bit(CAP_KILL);  // the program has another uid
      break;
  }
  return wanted;
}

bool DropBoundingSet(uint64_t wanted) {
  for (int capability = 0; capability < 64; ++capability) {
    if ((wanted & Bit(capability)) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
      return errno == EINVAL;  // past the last one
  }
  return true;
}

}  // namespace

// What holds for init and the program alike, done once for both: loading the filter makes the
// kernel compile it. Everything they do afterwards is among what the filter allows.
void Confine(Prepared& prepared) {
  const sock_fprog program = {static_cast<unsigned short>(kFilterLength),
                              const_cast<sock_filter*>(kFilter)};
  if ((Stands(Defence::kNoNewPrivs) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) ||
      !DropBoundingSet(WantedCapabilities(prepared)) ||
      (Stands(Defence::kFilter) &&
       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)) {
    Fail(prepared, Stage::kConfined, errno);
  }
  Reach(prepared, Stage::kConfined);
}

// Runs in the program's process and in init, after Confine.
void GiveUpPrivileges(Prepared& prepared) {
  const uint64_t wanted = WantedCapabilities(prepared);
  // Init starts no program; whoever does passes on what it has.
  const uint64_t inherited = prepared.keeps == Keeps::kInit ? 0 : wanted;
  const uint64_t set_up = wanted | Bit(CAP_SETPCAP) | Bit(CAP_SETUID) | Bit(CAP_SETGID);
  bool done = SetCapabilities(set_up, inherited) == 0;
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if (!done || (inherited & Bit(capability)) == 0) continue;
    done = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0;
  }
  done = done && prctl(PR_SET_SECUREBITS, kSecureBits, 0, 0, 0) == 0 &&
         setresgid(prepared.gid, prepared.gid, prepared.gid) == 0 &&
         setresuid(prepared.uid, prepared.uid, prepared.uid) == 0 &&
         SetCapabilities(wanted, inherited) == 0;
  if (!done) Fail(prepared, Stage::kPrivileges, errno);
  Reach(prepared, Stage::kPrivileges);
}

}  // namespace rundlet::runtime
