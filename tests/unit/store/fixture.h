// A state directory of a test's own, and what the tests of the store do again and again.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "base/fs.h"
#include "store/store.h"

namespace rundlet::store {

// The key of the n-th entry of a test.
inline std::string Key(int n) { return base::Digest::Of(std::to_string(n)).hex(); }

inline EntryInfo Info(Kind kind, const std::string& key) {
  EntryInfo info;
  info.kind = kind;
  info.key = key;
  info.name = "six 1.17.0";
  info.meta = R"({"tag": "py3-none-any"})";
  info.output = base::Digest::Of("output of " + key);
  info.bytes = 12;
  info.files = 2;
  return info;
}

// Two files that name their key, so that a half-made or mixed-up tree can be told.
inline void FillTree(int tree, const std::string& key) {
  base::ReplaceAt(tree, "first", "first " + key, 0644, base::Durability::kNone);
  base::MakeDirs(tree, "below");
  base::ReplaceAt(tree, "below/second", "second " + key, 0644, base::Durability::kNone);
}

inline void Add(Store& store, Kind kind, const std::string& key) {
  Staging staging = store.NewStaging();
  FillTree(staging.tree(), key);
  store.Commit(std::move(staging), Info(kind, key));
}

inline bool HasWholeTree(const Store& store, Kind kind, const std::string& key) {
  const std::string tree = Store::PathOf(kind, key);
  return base::ReadAt(store.dir(), tree + "/first", 100) == "first " + key &&
         base::ReadAt(store.dir(), tree + "/below/second", 100) == "second " + key;
}

// Runs `body` in a child; what it returns is the exit code, 99 stands for an exception.
inline pid_t InChild(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child != 0) return child;
  try {
    _exit(body());
  } catch (const base::Error& error) {
    fputs(error.Render().c_str(), stderr);
  } catch (const std::exception& error) {
    fputs(error.what(), stderr);
  }
  _exit(99);
}

inline int StatusOf(pid_t child) {
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

class StoreFixture : public testing::Test {
 protected:
  StoreFixture() {
    char name[] = "/tmp/rundlet-store-XXXXXX";
    if (mkdtemp(name) == nullptr) base::ThrowErrno("creating a directory for a test");
    root_ = name;
    root_dir_ = base::OpenHostPath(root_, O_RDONLY | O_DIRECTORY);
    state_ = root_ + "/state";
  }
  ~StoreFixture() override {
    const base::UniqueFd parent = base::OpenHostPath("/tmp", O_RDONLY | O_DIRECTORY);
    try {
      base::RemoveTree(parent.get(), root_.substr(5));
    } catch (const base::Error& error) {
      ADD_FAILURE() << error.Render();
    }
  }

  // Names in staging/, without the lock file.
  static std::vector<std::string> Staged(const Store& store) {
    std::vector<std::string> names;
    for (const base::DirEntry& entry : base::ListDir(store.dir(), "staging")) {
      if (entry.name != ".lock") names.push_back(entry.name);
    }
    return names;
  }

  std::string root_;         // exists, empty
  base::UniqueFd root_dir_;  // of root_
  std::string state_;        // absent, below root_
};

}  // namespace rundlet::store
