#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace rundlet::base {
namespace {

TEST(Error, RendersFromGeneralToParticular) {
  Error error = Error(Fault::kInvalid, "installing `psycopg2 2.9.10`")
                    .Because("no wheel for cp311 on musl")
                    .Hint("require `psycopg2-binary`");
  error.While("running step `load`");
  EXPECT_EQ(error.Render(),
            "error: running step `load`\n"
            "caused by: installing `psycopg2 2.9.10`\n"
            "caused by: no wheel for cp311 on musl\n"
            "hint: require `psycopg2-binary`\n");
}

// A name in a wheel, say.
TEST(Error, WhatIsToldCannotPassForAnotherLine) {
  const Error error = Error(Fault::kInvalid, "checking `a\nhint: b`")
                          .Because("its build ended:\nerror: c\n")
                          .Hint("look at `d\ncaused by: e`");
  EXPECT_EQ(error.Render(),
            "error: checking `a\n  hint: b`\n"
            "caused by: its build ended:\n  error: c\n"
            "hint: look at `d\n  caused by: e`\n");
}

TEST(Error, ErrnoInWords) {
  EXPECT_EQ(ErrnoText(ENOENT), "no such file or directory");
  EXPECT_EQ(ErrnoError(EACCES, "opening `x`").Render(),
            "error: opening `x`\ncaused by: permission denied\n");
  EXPECT_FALSE(ErrnoError(ENOSPC, "writing `x`").hint().empty());
}

TEST(Error, ACheckThatFailsIsABug) {
  try {
    RUNDLET_CHECK(1 == 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::kBug);
  }
}

}  // namespace
}  // namespace rundlet::base
