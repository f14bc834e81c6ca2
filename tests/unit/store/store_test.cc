#include "store/store.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "tests/unit/store/fixture.h"

namespace rundlet::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class StoreTest : public StoreFixture {
 protected:
  static std::vector<std::string> Keys(Store& store, Kind kind) {
    std::vector<std::string> keys;
    for (const EntryInfo& info : store.List(kind)) keys.push_back(info.key);
    return keys;
  }
};

TEST_F(StoreTest, WhatWasCommittedIsFound) {
  const auto store = Store::Open(state_);
  EXPECT_FALSE(store->Find(Kind::kPackage, Key(1)));
  Add(*store, Kind::kPackage, Key(1));
  const auto found = Store::Open(state_)->Find(Kind::kPackage, Key(1));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->kind, Kind::kPackage);
  EXPECT_EQ(found->key, Key(1));
  EXPECT_EQ(found->name, "six 1.17.0");
  EXPECT_EQ(found->meta, R"({"tag": "py3-none-any"})");
  EXPECT_EQ(found->output, Info(Kind::kPackage, Key(1)).output);
  EXPECT_EQ(found->bytes, 12u);
  EXPECT_EQ(found->files, 2u);
  EXPECT_GT(found->created_at, 0);
  EXPECT_GE(found->last_used_at, found->created_at);
  EXPECT_TRUE(HasWholeTree(*store, Kind::kPackage, Key(1)));
  EXPECT_FALSE(store->Find(Kind::kLower, Key(1)));
  EXPECT_THAT(Staged(*store), IsEmpty());
}

TEST_F(StoreTest, EveryKindHasAFolder) {
  const auto store = Store::Open(state_);
  for (const Kind kind :
       {Kind::kLayer, Kind::kPackage, Kind::kLower, Kind::kWheel, Kind::kTool, Kind::kSkeleton}) {
    Add(*store, kind, Key(7));
    EXPECT_TRUE(store->Find(kind, Key(7))) << FolderOf(kind);
  }
  EXPECT_EQ(Store::PathOf(Kind::kSkeleton, Key(7)), "skeletons/" + Key(7) + "/tree");
}

TEST_F(StoreTest, KeysThatAreNoKeysAreRefused) {
  const auto store = Store::Open(state_);
  for (const std::string& key : {std::string("../../etc"), std::string(), std::string(64, 'A'),
                                 "sha256:" + Key(1), Key(1) + "0", Key(1).substr(1) + "/"}) {
    EXPECT_THROW(store->Find(Kind::kPackage, key), base::Error) << key;
    EXPECT_THROW(store->Use(Kind::kPackage, key), base::Error) << key;
    EXPECT_THROW(Add(*store, Kind::kPackage, key), base::Error) << key;
    EXPECT_THROW((void)store->Remove(Kind::kPackage, key), base::Error) << key;
  }
  EXPECT_THAT(Staged(*store), IsEmpty());
}

TEST_F(StoreTest, TheFirstOfTwoEntriesWins) {
  const auto store = Store::Open(state_);
  Add(*store, Kind::kTool, Key(1));
  Staging staging = store->NewStaging();
  EntryInfo info = Info(Kind::kTool, Key(1));
  info.name = "another";
  store->Commit(std::move(staging), info);
  EXPECT_EQ(store->Find(Kind::kTool, Key(1))->name, "six 1.17.0");
  ASSERT_EQ(store->List(Kind::kTool).size(), 1u);
  EXPECT_EQ(store->List(Kind::kTool)[0].name, "six 1.17.0");
  EXPECT_TRUE(HasWholeTree(*store, Kind::kTool, Key(1)));
  EXPECT_THAT(Staged(*store), IsEmpty());
}

TEST_F(StoreTest, ABatchIsCommittedWhole) {
  const auto store = Store::Open(state_);
  std::vector<NewEntry> batch;
  for (int n = 0; n < 5; ++n) {
    batch.push_back({store->NewStaging(), Info(Kind::kPackage, Key(n))});
    FillTree(batch.back().staging.tree(), Key(n));
  }
  store->CommitAll(std::move(batch));
  EXPECT_THAT(Keys(*store, Kind::kPackage),
              UnorderedElementsAre(Key(0), Key(1), Key(2), Key(3), Key(4)));
  for (int n = 0; n < 5; ++n) EXPECT_TRUE(HasWholeTree(*store, Kind::kPackage, Key(n)));
}

TEST_F(StoreTest, WhatLiesBesideTheTreeIsNotCommitted) {
  const auto store = Store::Open(state_);
  Staging staging = store->NewStaging();
  base::ReplaceAt(staging.dir(), "scratch", "x", 0644, base::Durability::kNone);
  base::ReplaceAt(staging.dir(), "entry.json", "from outside", 0644, base::Durability::kNone);
  FillTree(staging.tree(), Key(1));
  store->Commit(std::move(staging), Info(Kind::kPackage, Key(1)));
  std::vector<std::string> names;
  for (const auto& entry : base::ListDir(store->dir(), "packages/" + Key(1))) {
    names.push_back(entry.name);
  }
  EXPECT_THAT(names, ElementsAre("entry.json", "tree"));
  EXPECT_TRUE(store->Find(Kind::kPackage, Key(1)));
}

TEST_F(StoreTest, LastUseIsNotedOnceAnHour) {
  const auto store = Store::Open(state_);
  Add(*store, Kind::kPackage, Key(1));
  const std::string record = state_ + "/packages/" + Key(1) + "/entry.json";
  const int64_t now = time(nullptr);
  const auto set_last_use = [&](int64_t then) {
    const timespec times[2] = {{then, 0}, {then, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, record.c_str(), times, 0), 0);
  };
  set_last_use(now - 1800);
  EXPECT_EQ(store->Find(Kind::kPackage, Key(1))->last_used_at, now - 1800);
  EXPECT_EQ(store->List(Kind::kPackage)[0].last_used_at, now - 1800);
  set_last_use(now - 7200);
  EXPECT_EQ(store->List(Kind::kPackage)[0].last_used_at, now - 7200);
  EXPECT_GE(store->Find(Kind::kPackage, Key(1))->last_used_at, now);
  EXPECT_GE(store->List(Kind::kPackage)[0].last_used_at, now);
}

TEST_F(StoreTest, RemovedEntriesAreGone) {
  const auto store = Store::Open(state_);
  Add(*store, Kind::kPackage, Key(1));
  Add(*store, Kind::kPackage, Key(2));
  EXPECT_EQ(store->Remove(Kind::kPackage, Key(1)), Removal::kRemoved);
  EXPECT_EQ(store->Remove(Kind::kPackage, Key(1)), Removal::kAbsent);
  EXPECT_FALSE(store->Find(Kind::kPackage, Key(1)));
  EXPECT_THAT(Keys(*store, Kind::kPackage), ElementsAre(Key(2)));
  EXPECT_THAT(base::ListDir(store->dir(), "leases"), IsEmpty());
  EXPECT_THAT(Staged(*store), IsEmpty());
  Add(*store, Kind::kPackage, Key(1));
  EXPECT_TRUE(store->Find(Kind::kPackage, Key(1)));
}

TEST_F(StoreTest, DamagedEntriesAreAbsentAndAreReplaced) {
  const auto store = Store::Open(state_);
  const std::string folder = "packages/" + Key(1);
  const std::vector<std::function<void()>> damages = {
      [&] { base::RemoveTree(store->dir(), folder + "/entry.json"); },
      [&] { base::RemoveTree(store->dir(), folder + "/tree"); },
      [&] { ASSERT_EQ(truncate((state_ + "/" + folder + "/entry.json").c_str(), 20), 0); },
      [&] {
        base::ReplaceAt(store->dir(), folder + "/entry.json", "{}", 0600, base::Durability::kNone);
      },
  };
  for (const auto& damage : damages) {
    Add(*store, Kind::kPackage, Key(1));
    ASSERT_TRUE(store->Find(Kind::kPackage, Key(1)));
    damage();
    EXPECT_FALSE(store->Find(Kind::kPackage, Key(1)));
    Add(*store, Kind::kPackage, Key(1));
    EXPECT_TRUE(store->Find(Kind::kPackage, Key(1)));
    EXPECT_TRUE(HasWholeTree(*store, Kind::kPackage, Key(1)));
    EXPECT_THAT(Staged(*store), IsEmpty());
  }
}

TEST_F(StoreTest, OnlyOneOfManyProcessesMakesAnEntry) {
  constexpr int kProcesses = 6;
  constexpr int kEntries = 5;
  Store::Open(state_);
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(InChild([&] {
      const auto store = Store::Open(state_);
      for (int n = 0; n < kEntries; ++n) {
        const Lease use = store->Use(Kind::kPackage, Key(n));
        if (store->Find(Kind::kPackage, Key(n))) continue;
        const Lease make = store->Make(Kind::kPackage, Key(n), nullptr);
        if (store->Find(Kind::kPackage, Key(n))) continue;
        const base::UniqueFd made =
            base::OpenAt(root_dir_.get(), "made", O_WRONLY | O_CREAT | O_APPEND, 0600);
        base::WriteFd(made.get(), std::to_string(n), "the list of makers");
        Add(*store, Kind::kPackage, Key(n));
      }
      return store->List(Kind::kPackage).size() == kEntries ? 0 : 1;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(StatusOf(child), 0);
  EXPECT_EQ(base::ReadAt(root_dir_.get(), "made", 100), "01234");
}

TEST_F(StoreTest, SeveralThreadsMayShareIt) {
  constexpr int kEntries = 6;
  const auto store = Store::Open(state_);
  std::atomic<int> made = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kEntries; ++n) {
        const Lease use = store->Use(Kind::kLayer, Key(n));
        const Lease make = store->Make(Kind::kLayer, Key(n), nullptr);
        if (!store->Find(Kind::kLayer, Key(n))) {
          ++made;
          Add(*store, Kind::kLayer, Key(n));
        }
        EXPECT_FALSE(store->List(Kind::kLayer).empty());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, kEntries);
  EXPECT_EQ(store->List(Kind::kLayer).size(), size_t{kEntries});
}

TEST_F(StoreTest, ManyProcessesMayCreateTheSameStateDirectory) {
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    children.push_back(InChild([&, i] {
      const auto store = Store::Open(state_);
      Add(*store, Kind::kTool, Key(i));
      return store->List(Kind::kTool).empty() ? 1 : 0;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(StatusOf(child), 0);
  EXPECT_EQ(Store::Open(state_)->List(Kind::kTool).size(), 8u);
}

}  // namespace
}  // namespace rundlet::store
