#include "runtime/spec/wire.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/fs.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;

class Wire : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    ours_ = UniqueFd(ends[0]);
    theirs_ = UniqueFd(ends[1]);
  }

  UniqueFd ours_;
  UniqueFd theirs_;
};

ino_t InodeOf(int fd) {
  struct stat info {};
  EXPECT_EQ(fstat(fd, &info), 0);
  return info.st_ino;
}

TEST_F(Wire, CarriesAMessageWithItsDescriptorsInOrder) {
  const UniqueFd first = base::MemoryFile("first", "1");
  const UniqueFd second = base::MemoryFile("second", "2");
  const LaunchHeader sent = {1, 2, 3, 4};
  ASSERT_TRUE(SendWithDescriptors(ours_.get(), &sent, sizeof sent, {first.get(), second.get()}));
  LaunchHeader got{};
  std::vector<UniqueFd> descriptors;
  ASSERT_TRUE(ReceiveWithDescriptors(theirs_.get(), &got, sizeof got, &descriptors));
  EXPECT_EQ(got.has_program, 1u);
  EXPECT_EQ(got.files, 2u);
  EXPECT_EQ(got.mounts, 3u);
  ASSERT_EQ(descriptors.size(), 2u);
  EXPECT_EQ(InodeOf(descriptors[0].get()), InodeOf(first.get()));
  EXPECT_EQ(InodeOf(descriptors[1].get()), InodeOf(second.get()));
  for (const UniqueFd& fd : descriptors) EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
}

TEST(SetupHeaderTest, ComesBack) {
  const std::vector<GroupKind> kinds = {
      {GroupVersion::kV1, {Controller::kCpu, Controller::kCpuTime}},
      {GroupVersion::kV2, {Controller::kMemory, Controller::kPids}},
      {GroupVersion::kV1, {}}};
  EXPECT_EQ(UnpackKinds(PackKinds(kinds)), kinds);
  EXPECT_EQ(UnpackKinds(PackKinds({})), std::vector<GroupKind>{});
}

TEST_F(Wire, CarriesAsManyDescriptorsAsItSays) {
  const UniqueFd file = base::MemoryFile("file", "");
  const std::vector<int> most(kMaxDescriptors, file.get());
  ASSERT_TRUE(SendWithDescriptors(ours_.get(), "x", 1, most));
  char byte;
  std::vector<UniqueFd> descriptors;
  ASSERT_TRUE(ReceiveWithDescriptors(theirs_.get(), &byte, 1, &descriptors));
  EXPECT_EQ(descriptors.size(), kMaxDescriptors);
}

TEST_F(Wire, RefusesAMessageOfAnotherSize) {
  LaunchHeader got{};
  std::vector<UniqueFd> descriptors;
  ASSERT_TRUE(SendWithDescriptors(ours_.get(), "short", 5, {}));
  EXPECT_FALSE(ReceiveWithDescriptors(theirs_.get(), &got, sizeof got, &descriptors));
  const char longer[sizeof got + 1] = {};
  ASSERT_TRUE(SendWithDescriptors(ours_.get(), longer, sizeof longer, {}));
  EXPECT_FALSE(ReceiveWithDescriptors(theirs_.get(), &got, sizeof got, &descriptors));
}

TEST_F(Wire, SeesTheOtherEndGo) {
  theirs_.reset();
  EXPECT_FALSE(SendWithDescriptors(ours_.get(), "x", 1, {}));
  char byte;
  std::vector<UniqueFd> descriptors;
  EXPECT_FALSE(ReceiveWithDescriptors(ours_.get(), &byte, 1, &descriptors));
}

TEST_F(Wire, AReplyHasAPidfdExactlyWhenItHasAPid) {
  LaunchReply reply{};
  UniqueFd pidfd;
  UniqueFd listener;
  const LaunchReply refused = {-1, {Stage::kMounts, ENOENT, 4}, 0};
  ASSERT_TRUE(SendWithDescriptors(ours_.get(), &refused, sizeof refused, {}));
  ASSERT_TRUE(ReceiveReply(theirs_.get(), &reply, &pidfd, &listener));
  EXPECT_EQ(reply.failure.stage, Stage::kMounts);
  EXPECT_EQ(reply.failure.error_number, ENOENT);
  EXPECT_EQ(reply.failure.index, 4u);
  EXPECT_FALSE(pidfd.valid());

  const LaunchReply started = {7, {}, 3};
  ASSERT_TRUE(SendWithDescriptors(ours_.get(), &started, sizeof started, {}));
  EXPECT_FALSE(ReceiveReply(theirs_.get(), &reply, &pidfd, &listener));
  const UniqueFd file = base::MemoryFile("pidfd", "");
  ASSERT_TRUE(SendWithDescriptors(ours_.get(), &started, sizeof started, {file.get()}));
  ASSERT_TRUE(ReceiveReply(theirs_.get(), &reply, &pidfd, &listener));
  EXPECT_EQ(reply.pid, 7);
  EXPECT_TRUE(pidfd.valid());
  EXPECT_FALSE(listener.valid());

  ASSERT_TRUE(SendWithDescriptors(ours_.get(), &started, sizeof started, {file.get(), file.get()}));
  ASSERT_TRUE(ReceiveReply(theirs_.get(), &reply, &pidfd, &listener));
  EXPECT_TRUE(listener.valid());
}

TEST(Record, EveryStageHasWordsOfItsOwn) {
  std::vector<std::string> names;
  for (uint32_t stage = 0; stage < static_cast<uint32_t>(Stage::kCount); ++stage) {
    const std::string name = NameOf(static_cast<Stage>(stage));
    EXPECT_NE(name, NameOf(Stage::kCount));
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 0) << name;
    names.push_back(name);
  }
}

}  // namespace
}  // namespace rundlet::runtime
