// What is there after a call failed, a disk was full or a process was killed: whole entries and
// nothing else.
//
// This program replaces the system calls that change something by ones that fail, or kill the
// process, at the n-th call. The C library's own functions are reached through syscall(2).
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cerrno>
#include <random>
#include <string>
#include <vector>

#include "store/catalog.h"
#include "tests/unit/store/fixture.h"

namespace {

enum class Fault { kNone, kFail, kKill };
Fault fault = Fault::kNone;
int calls_left = 0;
bool struck = false;
std::vector<std::string>* calls_made = nullptr;  // where the calls are noted, if anywhere

// Counts a call; true when it is to fail.
bool Strikes(const char* call) {
  if (calls_made != nullptr) calls_made->push_back(call);
  if (fault == Fault::kNone || --calls_left != 0) return false;
  struck = true;
  if (fault == Fault::kKill) syscall(SYS_kill, getpid(), SIGKILL);
  errno = ENOSPC;
  return true;
}

}  // namespace

extern "C" {
int mkdirat(int dir, const char* path, mode_t mode) noexcept {
  return Strikes("mkdirat") ? -1 : static_cast<int>(syscall(SYS_mkdirat, dir, path, mode));
}
int renameat(int from, const char* old_path, int to, const char* new_path) noexcept {
  return Strikes("renameat")
             ? -1
             : static_cast<int>(syscall(SYS_renameat2, from, old_path, to, new_path, 0));
}
int linkat(int from, const char* old_path, int to, const char* new_path, int flags) noexcept {
  return Strikes("linkat")
             ? -1
             : static_cast<int>(syscall(SYS_linkat, from, old_path, to, new_path, flags));
}
int unlinkat(int dir, const char* path, int flags) noexcept {
  return Strikes("unlinkat") ? -1 : static_cast<int>(syscall(SYS_unlinkat, dir, path, flags));
}
// A killed process loses nothing that it wrote: really syncing a disk that is shared with everybody
// would only cost time.
int fsync(int) { return Strikes("fsync") ? -1 : 0; }
int fdatasync(int) { return Strikes("fdatasync") ? -1 : 0; }
int syncfs(int) noexcept { return Strikes("syncfs") ? -1 : 0; }
ssize_t write(int fd, const void* bytes, size_t size) {
  return Strikes("write") ? -1 : syscall(SYS_write, fd, bytes, size);
}
// sqlite's way to write.
ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  return Strikes("pwrite64") ? -1 : syscall(SYS_pwrite64, fd, bytes, size, offset);
}
}

namespace rundlet::store {
namespace {

using testing::IsEmpty;

constexpr int kMostCalls = 400;
const base::Digest kBoth = base::Digest::Of("both entries");
constexpr char kMeta[] = "made from both";

class FaultTest : public StoreFixture {
 protected:
  ~FaultTest() override { fault = Fault::kNone; }

  static void Arm(Fault what, int call) {
    fault = what;
    calls_left = call;
    struck = false;
  }

  // Everything a person could ask of a store after a mishap.
  void ExpectWhole() {
    const auto store = Store::Open(state_);
    EXPECT_THAT(Staged(*store), IsEmpty());
    std::vector<std::string> in_folder;
    for (const base::DirEntry& entry : base::ListDir(store->dir(), "packages")) {
      EXPECT_TRUE(store->Find(Kind::kPackage, entry.name)) << entry.name;
      EXPECT_TRUE(HasWholeTree(*store, Kind::kPackage, entry.name)) << entry.name;
      in_folder.push_back(entry.name);
    }
    if (const auto set = store->UseSet(kBoth)) {
      EXPECT_EQ(set->meta, kMeta);
      EXPECT_EQ(in_folder.size(), 2U);
    }
    store->SweepLeases();
    EXPECT_FALSE(store->UseSet(kBoth));
    EXPECT_EQ(Keys(store->List(Kind::kPackage)), in_folder);
    EXPECT_EQ(Keys(Catalog(store->dir()).List(Kind::kPackage)), in_folder);
  }

  static std::vector<std::string> Keys(const std::vector<EntryInfo>& entries) {
    std::vector<std::string> keys;
    for (const EntryInfo& info : entries) keys.push_back(info.key);
    return keys;
  }

  // All that changes a store: creation, a batch, a set (once anew, once in the place of another), a
  // removal.
  void Work() {
    const auto store = Store::Open(state_);
    std::vector<NewEntry> batch;
    for (int n = 0; n < 2; ++n) {
      batch.push_back({store->NewStaging(), Info(Kind::kPackage, Key(n))});
      FillTree(batch.back().staging.tree(), Key(n));
    }
    store->CommitAll(std::move(batch));
    for (int i = 0; i < 2; ++i)
      store->KeepSet(kBoth, {{{Kind::kPackage, Key(0)}, {Kind::kPackage, Key(1)}}, kMeta});
    (void)store->Remove(Kind::kPackage, Key(0));
  }

  void StartAnew() { base::RemoveTree(root_dir_.get(), "state"); }
};

TEST_F(FaultTest, EveryCallMayFail) {
  int call = 1;
  for (; call < kMostCalls; ++call) {
    SCOPED_TRACE(call);
    StartAnew();
    Arm(Fault::kFail, call);
    try {
      Work();
    } catch (const base::Error&) {
      EXPECT_TRUE(struck);
    }
    fault = Fault::kNone;
    ExpectWhole();
    if (!struck) break;
  }
  EXPECT_GT(call, 30);
  EXPECT_LT(call, kMostCalls);
}

TEST_F(FaultTest, AProcessMayDieAtEveryCall) {
  int call = 1;
  for (; call < kMostCalls; ++call) {
    SCOPED_TRACE(call);
    StartAnew();
    const int status = StatusOf(InChild([&] {
      Arm(Fault::kKill, call);
      Work();
      return 0;
    }));
    ExpectWhole();
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      break;
    }
  }
  EXPECT_GT(call, 30);
  EXPECT_LT(call, kMostCalls);
}

TEST_F(FaultTest, AProcessMayBeKilledAtAnyTime) {
  std::mt19937 random(20240607);
  for (int round = 0; round < 25; ++round) {
    SCOPED_TRACE(round);
    base::Pipe progress = base::MakePipe();
    const pid_t child = InChild([&]() -> int {
      const auto store = Store::Open(state_);
      for (int n = 0;; ++n) {
        Staging staging = store->NewStaging();
        base::WriteFd(progress.write.get(), ".", "a pipe");
        FillTree(staging.tree(), Key(n % 5));
        base::WriteFd(progress.write.get(), ".", "a pipe");
        store->Commit(std::move(staging), Info(Kind::kPackage, Key(n % 5)));
        base::WriteFd(progress.write.get(), ".", "a pipe");
        if (n % 3 == 0) (void)store->Remove(Kind::kPackage, Key((n + 2) % 5));
      }
    });
    progress.write.reset();
    // As the child goes on meanwhile, the blow falls anywhere after this many steps.
    const auto steps = static_cast<int>(random() % 40);
    char byte;
    for (int i = 0; i < steps; ++i) ASSERT_EQ(read(progress.read.get(), &byte, 1), 1);
    ASSERT_EQ(kill(child, SIGKILL), 0);
    EXPECT_TRUE(WIFSIGNALED(StatusOf(child)));
    ExpectWhole();
  }
}

TEST_F(FaultTest, EveryStepIsDurableBeforeTheNext) {
  const auto store = Store::Open(state_);
  Add(*store, Kind::kPackage, Key(0));  // the catalog is there
  Staging staging = store->NewStaging();
  FillTree(staging.tree(), Key(1));
  std::vector<std::string> calls;
  calls_made = &calls;
  store->Commit(std::move(staging), Info(Kind::kPackage, Key(1)));
  calls_made = nullptr;
  // The record is written and renamed, all is synced, the entry gets its name, the name is synced,
  // the row follows.
  const std::vector<std::string> expected = {"write", "renameat", "syncfs", "renameat", "fsync"};
  ASSERT_GT(calls.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(calls[i], expected[i]) << i;
  for (size_t i = expected.size(); i < calls.size(); ++i) EXPECT_EQ(calls[i], "pwrite64") << i;
}

TEST_F(FaultTest, FilesMayNotGrow) {
  for (const rlim_t limit : {0u, 1u, 64u, 400u, 4096u, 20000u, 40000u}) {
    SCOPED_TRACE(limit);
    StartAnew();
    Store::Open(state_);
    const int status = StatusOf(InChild([&] {
      // Otherwise the kernel ends the process instead of the call.
      signal(SIGXFSZ, SIG_IGN);
      const rlimit limits{limit, limit};
      if (setrlimit(RLIMIT_FSIZE, &limits) != 0) return 1;
      try {
        Work();
      } catch (const base::Error&) {
        return 0;
      }
      // With room for the files, the catalog alone has none: that is no failure.
      return limit >= 400 ? 0 : 2;
    }));
    EXPECT_EQ(status, 0);
    ExpectWhole();
  }
}

TEST_F(FaultTest, DescriptorsMayRunOut) {
  for (rlim_t limit = 3; limit < 40; ++limit) {
    SCOPED_TRACE(limit);
    StartAnew();
    const int status = StatusOf(InChild([&] {
      const rlimit limits{limit, limit};
      if (setrlimit(RLIMIT_NOFILE, &limits) != 0) return 1;
      try {
        Work();
      } catch (const base::Error&) {
      }
      return 0;
    }));
    EXPECT_EQ(status, 0);
    ExpectWhole();
  }
}

}  // namespace
}  // namespace rundlet::store
