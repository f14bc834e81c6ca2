// The ways of starting a program that the benchmark compares. Each starts the same static `true`
// from this one long-lived process and waits for its end.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/record.h"

namespace rundlet::bench {

class Contender {
 public:
  virtual ~Contender() = default;
  virtual std::string name() const = 0;
  // Starts the program and waits; returns the times of the stages where there are any. Throws
  // base::Error when it cannot be started or fails. Several threads may call it.
  virtual std::optional<runtime::StageTimes> RunOnce() = 0;
};

// Where the programs are, and a directory with the image and packages that all share.
struct Setting {
  std::string launcher;  // rundlet-launcher
  std::string program;   // static true
  std::string state;     // filled by PrepareState
  int packages = 60;
};

// "image/bin/true", "skeleton" and "packages/N" in a fresh directory.
void PrepareState(const Setting& setting);

// Bare vfork + exec; rundlet with everything; bubblewrap and runc where they are installed.
std::vector<std::unique_ptr<Contender>> AllContenders(const Setting& setting);

}  // namespace rundlet::bench
