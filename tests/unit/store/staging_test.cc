#include "store/staging.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include "tests/unit/store/fixture.h"

namespace rundlet::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class StagingTest : public StoreFixture {};

TEST_F(StagingTest, IsRemovedUnlessCommitted) {
  const auto store = Store::Open(state_);
  {
    const Staging staging = store->NewStaging();
    FillTree(staging.tree(), Key(1));
    EXPECT_TRUE(base::ExistsAt(store->dir(), staging.tree_path() + "/below/second"));
    EXPECT_THAT(Staged(*store), SizeIs(1));
  }
  EXPECT_THAT(Staged(*store), IsEmpty());
}

TEST_F(StagingTest, MovesAndOutlivesItsStore) {
  auto store = Store::Open(state_);
  Staging first = store->NewStaging();
  Staging second = store->NewStaging();
  EXPECT_THAT(Staged(*store), SizeIs(2));
  first = std::move(second);
  EXPECT_THAT(Staged(*store), SizeIs(1));
  store.reset();
  FillTree(first.tree(), Key(1));
}

TEST_F(StagingTest, TreesAreReadableForSandboxesWhateverTheUmask) {
  const mode_t before = umask(077);
  const auto store = Store::Open(state_);
  const Staging staging = store->NewStaging();
  umask(before);
  struct stat info;
  ASSERT_EQ(fstat(staging.tree(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0755u);
}

TEST_F(StagingTest, OpeningLeavesWhatALivingMakerHas) {
  const auto store = Store::Open(state_);
  const Staging staging = store->NewStaging();
  FillTree(staging.tree(), Key(1));
  Store::Open(state_);
  EXPECT_THAT(Staged(*store), SizeIs(1));
  EXPECT_TRUE(base::ExistsAt(store->dir(), staging.tree_path() + "/below/second"));
}

TEST_F(StagingTest, OpeningSweepsWhatADeadMakerLeft) {
  const auto store = Store::Open(state_);
  const pid_t child = InChild([&] {
    const Staging staging = Store::Open(state_)->NewStaging();
    FillTree(staging.tree(), Key(1));
    return kill(getpid(), SIGKILL);
  });
  EXPECT_TRUE(WIFSIGNALED(StatusOf(child)));
  EXPECT_THAT(Staged(*store), SizeIs(1));
  Store::Open(state_);
  EXPECT_THAT(Staged(*store), IsEmpty());
}

TEST_F(StagingTest, NamesThatAreNotOursAreLeftAlone) {
  const auto store = Store::Open(state_);
  for (const char* name : {"notes", "ffffffffffffffff", "00000000000000AB", "1"}) {
    base::MakeDirs(store->dir(), std::string("staging/") + name);
  }
  Store::Open(state_);
  EXPECT_THAT(Staged(*store), ElementsAre("00000000000000AB", "1", "ffffffffffffffff", "notes"));
}

TEST_F(StagingTest, SweepsNeverTakeADirectoryThatIsBeingMade) {
  Store::Open(state_);
  const pid_t maker = InChild([&] {
    const auto store = Store::Open(state_);
    for (int round = 0; round < 100; ++round) {
      const Staging staging = store->NewStaging();
      base::MakeDirs(staging.tree(), "a/b");
      if (!base::ExistsAt(store->dir(), staging.tree_path() + "/a/b")) return 1;
    }
    return 0;
  });
  int status = 0;
  while (waitpid(maker, &status, WNOHANG) == 0) Store::Open(state_);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(Staged(*Store::Open(state_)), IsEmpty());
}

}  // namespace
}  // namespace rundlet::store
