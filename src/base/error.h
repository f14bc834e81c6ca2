// One error type for the whole program: what was attempted, on what, why it failed, what to do.
//
// Libraries throw it and never print; the program that stops an error reports it, once. The chain
// runs from general (outermost) to particular. Texts are lower case, without a full stop, with
// objects in back-ticks.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rundlet::base {

// Whose fault it is; the value is the program's exit code.
enum class Fault {
  kStep = 1,     // a step of the user failed, or an expectation did not hold
  kInvalid = 2,  // wrong usage or an invalid pipeline
  kHost = 3,     // this host cannot: kernel, permission, space, network
  kDaemon = 4,   // the daemon cannot be reached
  kBug = 5,      // a bug in rundlet
};

class Error : public std::exception {
 public:
  Error(Fault fault, std::string attempted) : fault_(fault) {
    chain_.push_back(std::move(attempted));
  }

  // Adds the particular cause below everything said so far.
  Error& Because(std::string cause) &;
  Error&& Because(std::string cause) &&;
  // Attaches advice that works if followed.
  Error&& Hint(std::string hint) &&;
  // Puts this error into the context of a larger operation; used where an error passes through.
  void While(std::string attempted);
  void SetHint(std::string hint) { hint_ = std::move(hint); }

  Fault fault() const { return fault_; }
  const std::vector<std::string>& chain() const { return chain_; }
  const std::string& hint() const { return hint_; }
  // "error: ...\ncaused by: ...\nhint: ...\n"; other lines are indented, nothing is for a terminal.
  virtual std::string Render() const;
  const char* what() const noexcept override { return chain_.front().c_str(); }

 private:
  Fault fault_;
  std::vector<std::string> chain_;
  std::string hint_;
};

// An operation stopped because its user asked for it (Ctrl-C, cancel).
class Cancelled : public Error {
 public:
  explicit Cancelled(std::string what) : Error(Fault::kStep, std::move(what)) {}
};

// "no such file or directory" for ENOENT, in the style of our messages.
std::string ErrnoText(int error_number);

// A failed system call: the cause is errno in words. A full disk carries a hint.
Error ErrnoError(int error_number, std::string attempted);

// The same of a path that somebody named: one that is not there is their mistake (kInvalid).
Error NamedPathError(int error_number, std::string attempted);

template <typename... Args>
[[noreturn]] void ThrowErrno(fmt::format_string<Args...> format, Args&&... args) {
  const int saved = errno;
  throw ErrnoError(saved, fmt::format(format, std::forward<Args>(args)...));
}

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

// For bugs only, never reachable from input.
#define RUNDLET_CHECK(condition) \
  ((condition) ? void(0) : ::rundlet::base::CheckFailed(#condition, __FILE__, __LINE__))

}  // namespace rundlet::base
