#include "store/entry_set.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "store/record.h"
#include "tests/unit/store/fixture.h"

namespace rundlet::store {
namespace {

const base::Digest kSet = base::Digest::Of("a set");

class EntrySetTest : public StoreFixture {
 protected:
  EntrySetTest() : store_(Store::Open(state_)) {
    for (const int n : {1, 2, 3}) Add(*store_, Kind::kPackage, Key(n));
  }

  // Of the first two of the three entries that there are.
  void Keep(const std::string& meta) {
    const Lease first = store_->Use(Kind::kPackage, Key(1));
    const Lease second = store_->Use(Kind::kPackage, Key(2));
    store_->KeepSet(kSet, {{{Kind::kPackage, Key(1)}, {Kind::kPackage, Key(2)}}, meta});
  }

  std::optional<std::string> Meta() {
    const auto used = store_->UseSet(kSet);
    return used ? std::optional(used->meta) : std::nullopt;
  }

  static std::string Record(int n) { return EntryDir(Kind::kPackage, Key(n)) + "/" + kRecordFile; }

  std::vector<std::string> Sets() {
    std::vector<std::string> names;
    if (!base::ExistsAt(store_->dir(), "leases/sets")) return names;
    for (const base::DirEntry& entry : base::ListDir(store_->dir(), "leases/sets"))
      names.push_back(entry.name);
    return names;
  }

  std::unique_ptr<Store> store_;
};

TEST_F(EntrySetTest, WhatWasKeptIsThereByteForByte) {
  EXPECT_EQ(Meta(), std::nullopt);
  Keep("two\n\nlines\n");
  EXPECT_EQ(Meta(), "two\n\nlines\n");
  Keep("");
  EXPECT_EQ(Meta(), "");
}

TEST_F(EntrySetTest, AnEntryOfASetInUseIsNotRemoved) {
  Keep("meta");
  std::optional<UsedSet> used = Store::Open(state_)->UseSet(kSet);
  ASSERT_TRUE(used);
  EXPECT_EQ(store_->Remove(Kind::kPackage, Key(1)), Removal::kInUse);
  EXPECT_EQ(store_->Remove(Kind::kPackage, Key(2)), Removal::kInUse);
  EXPECT_TRUE(HasWholeTree(*store_, Kind::kPackage, Key(1)));
  EXPECT_EQ(store_->Remove(Kind::kPackage, Key(3)), Removal::kRemoved);
  used.reset();
  EXPECT_EQ(store_->Remove(Kind::kPackage, Key(1)), Removal::kRemoved);
  EXPECT_EQ(Meta(), std::nullopt);
}

TEST_F(EntrySetTest, ARemovalTakesTheSetsThatNobodyUses) {
  Keep("meta");
  EXPECT_EQ(store_->Remove(Kind::kPackage, Key(3)), Removal::kRemoved);
  EXPECT_THAT(Sets(), testing::IsEmpty());
}

TEST_F(EntrySetTest, ASetInUseIsNotReplaced) {
  Keep("old");
  std::optional<UsedSet> used = store_->UseSet(kSet);
  Keep("new");
  EXPECT_EQ(Meta(), "old");
  used.reset();
  Keep("new");
  EXPECT_EQ(Meta(), "new");
}

TEST_F(EntrySetTest, ASetEndsWithWhoeverIsKilled) {
  Keep("meta");
  const base::Pipe pipe = base::MakePipe(0);
  const pid_t child = InChild([&] {
    const auto used = Store::Open(state_)->UseSet(kSet);
    base::WriteFd(pipe.write.get(), used ? "y" : "n", "a pipe");
    pause();
    return 0;
  });
  char held = 0;
  ASSERT_EQ(read(pipe.read.get(), &held, 1), 1);
  EXPECT_EQ(held, 'y');
  EXPECT_EQ(store_->Remove(Kind::kPackage, Key(1)), Removal::kInUse);
  kill(child, SIGKILL);
  StatusOf(child);
  EXPECT_EQ(store_->Remove(Kind::kPackage, Key(1)), Removal::kRemoved);
}

TEST_F(EntrySetTest, AMissingEntryIsFound) {
  Keep("meta");
  base::RemoveTree(store_->dir(), EntryDir(Kind::kPackage, Key(2)));
  EXPECT_EQ(Meta(), std::nullopt);
}

TEST_F(EntrySetTest, AMissingTreeIsFound) {
  Keep("meta");
  base::RemoveTree(store_->dir(), Store::PathOf(Kind::kPackage, Key(1)));
  EXPECT_EQ(Meta(), std::nullopt);
}

TEST_F(EntrySetTest, AnAlteredRecordIsFound) {
  Keep("meta");
  const std::string text = base::ReadAt(store_->dir(), Record(1), kRecordLimit);
  // Another file with the same bytes, and the same file with others.
  base::ReplaceAt(store_->dir(), Record(1), text, 0600, base::Durability::kNone);
  EXPECT_EQ(Meta(), std::nullopt);
  Keep("meta");
  EXPECT_EQ(Meta(), "meta");
  base::WriteFd(base::OpenAt(store_->dir(), Record(1), O_WRONLY | O_TRUNC).get(), "{", "a record");
  EXPECT_EQ(Meta(), std::nullopt);
}

TEST_F(EntrySetTest, AHalfWrittenSetIsNone) {
  Keep("some meta");
  const std::string path = "leases/sets/" + kSet.hex();
  const std::string text = base::ReadAt(store_->dir(), path, 1 << 20);
  for (const size_t size : {size_t{0}, size_t{10}, text.size() / 2, text.size() - 1}) {
    base::ReplaceAt(store_->dir(), path, text.substr(0, size), 0600, base::Durability::kNone);
    EXPECT_EQ(Meta(), std::nullopt) << size;
  }
  Keep("some meta");
  EXPECT_EQ(Meta(), "some meta");
}

TEST_F(EntrySetTest, ASetThatIsTooLargeIsNone) {
  Keep("meta");
  const std::string path = "leases/sets/" + kSet.hex();
  const base::UniqueFd file = base::OpenAt(store_->dir(), path, O_RDWR);
  ASSERT_EQ(ftruncate(file.get(), 64 << 20), 0);
  EXPECT_EQ(Meta(), std::nullopt);
  EXPECT_EQ(store_->Remove(Kind::kPackage, Key(1)), Removal::kRemoved);
}

TEST_F(EntrySetTest, ASetOfWhatIsNotThereIsNotKept) {
  store_->KeepSet(kSet, {{{Kind::kPackage, Key(1)}, {Kind::kPackage, Key(9)}}, "meta"});
  EXPECT_THAT(Sets(), testing::IsEmpty());
}

TEST_F(EntrySetTest, UseIsNotedAsByFind) {
  Keep("meta");
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(utimensat(store_->dir(), Record(1).c_str(), old, 0), 0);
  const int64_t before = time(nullptr);
  EXPECT_EQ(Meta(), "meta");
  EXPECT_GE(base::StatAt(store_->dir(), Record(1))->st_mtim.tv_sec, before);
}

// As engines do, while others prune: whoever holds the set, or else the leases, has whole entries.
TEST_F(EntrySetTest, UsersAndRemoversAtOnce) {
  constexpr int kUses = 100;
  base::Pipe uses = base::MakePipe();
  const auto use = [&]() -> int {
    const auto store = Store::Open(state_);
    const auto whole = [&] {
      return HasWholeTree(*store, Kind::kPackage, Key(1)) &&
             HasWholeTree(*store, Kind::kPackage, Key(2));
    };
    for (int used_sets = 0; used_sets < kUses;) {
      if (const auto used = store->UseSet(kSet)) {
        ++used_sets;
        base::WriteFd(uses.write.get(), ".", "a pipe");  // now somebody tries to remove them
        if (!whole()) return 1;
        continue;
      }
      std::vector<Lease> leases;
      for (const int n : {1, 2}) leases.push_back(store->Use(Kind::kPackage, Key(n)));
      for (const int n : {1, 2}) {
        const Lease make = store->Make(Kind::kPackage, Key(n), nullptr);
        if (!store->Find(Kind::kPackage, Key(n))) Add(*store, Kind::kPackage, Key(n));
      }
      if (!whole()) return 2;
      store->KeepSet(kSet, {{{Kind::kPackage, Key(1)}, {Kind::kPackage, Key(2)}}, "meta"});
    }
    return 0;
  };
  const pid_t users[] = {InChild(use), InChild(use)};
  uses.write.reset();
  int removed = 0;
  for (char byte; read(uses.read.get(), &byte, 1) == 1;) {
    for (const int n : {1, 2})
      removed += store_->Remove(Kind::kPackage, Key(n)) == Removal::kRemoved ? 1 : 0;
  }
  for (const pid_t user : users) EXPECT_EQ(StatusOf(user), 0);
  EXPECT_GT(removed, 0);
}

TEST_F(EntrySetTest, SweepingLeasesLeavesSetsInUse) {
  Keep("meta");
  std::optional<UsedSet> used = store_->UseSet(kSet);
  store_->SweepLeases();
  EXPECT_THAT(Sets(), testing::ElementsAre(kSet.hex()));
  used.reset();
  store_->SweepLeases();
  EXPECT_THAT(Sets(), testing::IsEmpty());
}

}  // namespace
}  // namespace rundlet::store
