#include "store/lease.h"

#include <gmock/gmock.h>
#include <signal.h>

#include "base/fs.h"
#include "tests/unit/store/fixture.h"

namespace rundlet::store {
namespace {

class LeaseTest : public StoreFixture {
 protected:
  // Whether the make lease is free: a waiter that is cancelled at once tells.
  static bool MayMake(Store& store) {
    base::CancelToken cancel;
    try {
      store.Make(Kind::kPackage, Key(1), &cancel, [&](const MakerProgress&) { cancel.Cancel(); });
      return true;
    } catch (const base::Cancelled&) {
      return false;
    }
  }
};

TEST_F(LeaseTest, AnEntryInUseIsNotRemoved) {
  const auto store = Store::Open(state_);
  Add(*store, Kind::kPackage, Key(1));
  std::optional<Lease> first = store->Use(Kind::kPackage, Key(1));
  std::optional<Lease> second = Store::Open(state_)->Use(Kind::kPackage, Key(1));
  EXPECT_EQ(store->Remove(Kind::kPackage, Key(1)), Removal::kInUse);
  first.reset();
  EXPECT_EQ(store->Remove(Kind::kPackage, Key(1)), Removal::kInUse);
  EXPECT_TRUE(store->Find(Kind::kPackage, Key(1)));
  second.reset();
  EXPECT_EQ(store->Remove(Kind::kPackage, Key(1)), Removal::kRemoved);
}

TEST_F(LeaseTest, AnEntryBeingMadeIsNotRemoved) {
  const auto store = Store::Open(state_);
  std::optional<Lease> make = store->Make(Kind::kPackage, Key(1), nullptr);
  EXPECT_EQ(store->Remove(Kind::kPackage, Key(1)), Removal::kInUse);
  make.reset();
  EXPECT_EQ(store->Remove(Kind::kPackage, Key(1)), Removal::kAbsent);
}

TEST_F(LeaseTest, RemovalAsksWhileNobodyCanBeginToUse) {
  const auto store = Store::Open(state_);
  Add(*store, Kind::kPackage, Key(1));
  int asked = 0;
  const auto wanted = [&] {
    ++asked;
    EXPECT_FALSE(MayMake(*store));
    return asked == 1;
  };
  EXPECT_EQ(store->Remove(Kind::kPackage, Key(1), wanted), Removal::kWanted);
  EXPECT_TRUE(store->Find(Kind::kPackage, Key(1)));
  EXPECT_EQ(store->Remove(Kind::kPackage, Key(1), wanted), Removal::kRemoved);
  EXPECT_EQ(asked, 2);
}

TEST_F(LeaseTest, FilesOfAbsentEntriesAreSwept) {
  const auto store = Store::Open(state_);
  Add(*store, Kind::kPackage, Key(1));
  { const Lease there = store->Use(Kind::kPackage, Key(1)); }
  { const Lease absent = store->Use(Kind::kPackage, Key(2)); }
  const Lease held = store->Use(Kind::kPackage, Key(3));
  store->SweepLeases();
  EXPECT_TRUE(base::ExistsAt(store->dir(), "leases/packages-" + Key(1)));
  EXPECT_FALSE(base::ExistsAt(store->dir(), "leases/packages-" + Key(2)));
  EXPECT_TRUE(base::ExistsAt(store->dir(), "leases/packages-" + Key(3)));
}

TEST_F(LeaseTest, WhoWaitsSeesHowFarTheMakerIs) {
  const auto store = Store::Open(state_);
  std::optional<Lease> holder = store->Make(Kind::kPackage, Key(1), nullptr);
  std::vector<MakerProgress> seen;
  const auto on_wait = [&](const MakerProgress& progress) {
    seen.push_back(progress);
    if (seen.size() == 3) {
      holder.reset();
    } else {
      holder->Tell({seen.size(), 7});
    }
  };
  holder = store->Make(Kind::kPackage, Key(1), nullptr, on_wait);
  EXPECT_THAT(seen,
              ::testing::ElementsAre(MakerProgress{}, MakerProgress{1, 7}, MakerProgress{2, 7}));
  // What the one before said is not the next one's.
  seen.clear();
  store->Make(Kind::kPackage, Key(1), nullptr, on_wait);
  EXPECT_EQ(seen.front(), MakerProgress());
}

TEST_F(LeaseTest, UsersAndTheMakerDoNotWaitForEachOther) {
  const auto store = Store::Open(state_);
  const Lease use = store->Use(Kind::kPackage, Key(1));
  const Lease make = store->Make(Kind::kPackage, Key(1), nullptr,
                                 [](const MakerProgress&) { FAIL() << "it waits"; });
  const Lease again = store->Use(Kind::kPackage, Key(1));
}

TEST_F(LeaseTest, ASecondMakerWaitsAndIsToldOnce) {
  const auto store = Store::Open(state_);
  std::optional<Lease> holder = store->Make(Kind::kPackage, Key(1), nullptr);
  const Lease other = store->Make(Kind::kPackage, Key(2), nullptr,
                                  [](const MakerProgress&) { FAIL() << "another key"; });
  int told = 0;
  const Lease lease = store->Make(Kind::kPackage, Key(1), nullptr, [&](const MakerProgress&) {
    ++told;
    holder.reset();
  });
  EXPECT_EQ(told, 1);
  EXPECT_FALSE(MayMake(*store));
}

TEST_F(LeaseTest, WaitingEndsWhenCancelled) {
  const auto store = Store::Open(state_);
  const Lease holder = store->Make(Kind::kPackage, Key(1), nullptr);
  base::CancelToken cancel;
  EXPECT_THROW(
      store->Make(Kind::kPackage, Key(1), &cancel, [&](const MakerProgress&) { cancel.Cancel(); }),
      base::Cancelled);
  EXPECT_THROW(store->Make(Kind::kPackage, Key(1), &cancel), base::Cancelled);
}

TEST_F(LeaseTest, AWaiterIsNotFooledByALeaseFileThatWasRemoved) {
  const auto store = Store::Open(state_);
  std::optional<Lease> holder = store->Make(Kind::kPackage, Key(1), nullptr);
  std::optional<Lease> lease =
      store->Make(Kind::kPackage, Key(1), nullptr, [&](const MakerProgress&) {
        holder.reset();
        // The waiter has the file open and does not hold its lock: the file goes.
        EXPECT_EQ(store->Remove(Kind::kPackage, Key(1)), Removal::kAbsent);
        EXPECT_FALSE(base::ExistsAt(store->dir(), "leases/packages-" + Key(1)));
      });
  EXPECT_FALSE(MayMake(*store));
  lease.reset();
  EXPECT_TRUE(MayMake(*store));
}

TEST_F(LeaseTest, LeasesDieWithTheirHolder) {
  const auto store = Store::Open(state_);
  Add(*store, Kind::kPackage, Key(1));
  base::Pipe ready = base::MakePipe();
  const pid_t child = InChild([&] {
    const auto own = Store::Open(state_);
    const Lease use = own->Use(Kind::kPackage, Key(1));
    const Lease make = own->Make(Kind::kPackage, Key(1), nullptr);
    base::WriteFd(ready.write.get(), "r", "a pipe");
    pause();
    return 0;
  });
  char byte;
  ASSERT_EQ(read(ready.read.get(), &byte, 1), 1);
  EXPECT_EQ(store->Remove(Kind::kPackage, Key(1)), Removal::kInUse);
  EXPECT_FALSE(MayMake(*store));
  kill(child, SIGKILL);
  StatusOf(child);
  EXPECT_TRUE(MayMake(*store));
  EXPECT_EQ(store->Remove(Kind::kPackage, Key(1)), Removal::kRemoved);
}

TEST_F(LeaseTest, RemovalAndUseInALoopNeverMeet) {
  const auto store = Store::Open(state_);
  // A process that makes and uses one entry again and again, while this one removes it.
  const pid_t child = InChild([&] {
    const auto own = Store::Open(state_);
    for (int round = 0; round < 150; ++round) {
      const Lease use = own->Use(Kind::kPackage, Key(1));
      if (!own->Find(Kind::kPackage, Key(1))) {
        const Lease make = own->Make(Kind::kPackage, Key(1), nullptr);
        Add(*own, Kind::kPackage, Key(1));
      }
      if (!HasWholeTree(*own, Kind::kPackage, Key(1))) return 1;
    }
    return 0;
  });
  int status = 0;
  int removed = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (store->Remove(Kind::kPackage, Key(1)) == Removal::kRemoved) ++removed;
  }
  EXPECT_EQ(status, 0);
  EXPECT_GT(removed, 0);
}

}  // namespace
}  // namespace rundlet::store
