// A sandbox with a terminal: one of its own devpts, which it controls, and whose other side is
// ours.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fs.h"
#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

class TerminalTest : public SandboxTest {
 protected:
  SandboxSpec WithTerminal(std::vector<std::string> arguments) const {
    SandboxSpec spec = Spec(std::move(arguments));
    spec.terminal = TerminalSize{.rows = 33, .columns = 111};
    return spec;
  }
  Sandbox StartAtTerminal(const SandboxSpec& spec) {
    const CheckedSpec checked = CheckSpec(spec);
    return launcher_->Start({.spec = &checked});
  }
  // What is printed until `end`, or until nobody inside has the terminal any more.
  static std::string ReadUntil(const Sandbox& sandbox, const std::string& end) {
    std::string text;
    while (end.empty() || text.find(end) == text.npos) {
      pollfd polled = {sandbox.terminal(), POLLIN, 0};
      if (poll(&polled, 1, -1) < 0) break;
      char buffer[4096];
      const ssize_t count = read(sandbox.terminal(), buffer, sizeof buffer);
      if (count > 0) {
        text.append(buffer, static_cast<size_t>(count));
      } else if (errno != EAGAIN) {
        EXPECT_EQ(errno, EIO);
        break;
      }
    }
    std::erase(text, '\r');
    return text;
  }
};

TEST_F(TerminalTest, IsTheProgramsOwnAndControlsIt) {
  for (const uint32_t uid : {0u, 1000u}) {
    SandboxSpec spec = WithTerminal({"facts"});
    spec.uid = spec.gid = uid;
    Sandbox sandbox = StartAtTerminal(spec);
    FactMap facts = ParseFacts(ReadUntil(sandbox, ""));
    EXPECT_EQ(sandbox.Wait(nullptr).code, 0);
    EXPECT_EQ(facts["terminal"], "OK") << "/dev/tty is it";
    EXPECT_EQ(facts["size"], "33 111");
    EXPECT_EQ(facts["fds"], "0 1 2 ") << "its other side stays outside";
    EXPECT_EQ(facts["session"], facts["pid"]) << "init is in another session";
    EXPECT_EQ(facts["self.CapEff"], "0000000000000000");
    EXPECT_EQ(facts["self.Seccomp"], "2");
  }
  EXPECT_EQ(Run(Spec({"facts"})).facts()["size"], "ENOTTY") << "only when asked for";
}

TEST_F(TerminalTest, HangingUpIsSeenInside) {
  Sandbox sandbox = StartAtTerminal(WithTerminal({"obedient"}));
  EXPECT_EQ(ReadUntil(sandbox, "ready\r\n"), "ready\n");
  sandbox.HangUp();
  const Outcome outcome = sandbox.Wait(nullptr);
  EXPECT_EQ(outcome.end, Outcome::End::kSignalled);
  EXPECT_EQ(outcome.code, SIGHUP);
}

TEST_F(TerminalTest, CtrlCIsTheProgramsAlone) {
  Sandbox sandbox = StartAtTerminal(WithTerminal({"obedient"}));
  EXPECT_EQ(ReadUntil(sandbox, "ready\r\n"), "ready\n");
  ASSERT_EQ(write(sandbox.terminal(), "\x03", 1), 1);
  const Outcome outcome = sandbox.Wait(nullptr);
  EXPECT_EQ(outcome.end, Outcome::End::kSignalled) << "and init lives to tell";
  EXPECT_EQ(outcome.code, SIGINT);
}

// What lies where the multiplexer should be is not opened as one.
TEST_F(TerminalTest, AForgedMultiplexerIsRefused) {
  state_->AddFile("outside/ptmx", "", 0666);
  state_->AddDirectory("linked");
  state_->AddLink("linked/ptmx", "/dev/null");
  for (const char* forged : {"outside", "linked"}) {
    SandboxSpec spec = WithTerminal({"facts"});
    spec.mounts.mounts.push_back({"/dev/pts", StorePath{forged, true}});
    try {
      StartAtTerminal(spec);
      ADD_FAILURE() << forged << ": it started";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.chain()[1], "opening its terminal") << error.Render();
    }
  }
}

}  // namespace
}  // namespace rundlet::runtime
