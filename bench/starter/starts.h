// What bench-starter can start again and again, and wait for: a program of the host, as every
// contender has one, a sandbox by rundlet's own launcher, and a container of docker's.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "engine/core/engine.h"
#include "runtime/spec/record.h"

namespace rundlet::bench {

// CLOCK_MONOTONIC nanoseconds. The last of the stages is when the program had ended.
struct Times {
  int64_t started = 0;
  int64_t ended = 0;
  std::optional<runtime::StageTimes> stages = {};
  int64_t program_ended = 0;  // with stages
};

class Start {
 public:
  virtual ~Start() = default;
  // Starts it and waits for its end. Throws base::Error when it cannot be started or fails. Several
  // threads may call it.
  virtual Times Once() = 0;
};

// {"program": {"argv": [...], "root": DIR, "environment": {...}, "filter": true}}: vfork and exec,
// in another root if one is named. "{id}" in a word is replaced by a number that no other start
// has; with "filter" the program inherits rundlet's system-call filter, from its beginning, as
// descriptor 100.
// {"sandbox": {"argv": [...], "image": NAME, "packages": [...]}}: as `rundlet exec` would start it;
// what is missing is installed before anything is measured.
// {"docker": ...}: docker.h.
std::unique_ptr<Start> MakeStart(engine::Engine& engine, const nlohmann::json& description);

}  // namespace rundlet::bench
