// The tables that a failed step had as inputs, kept with its run for whoever looks into it:
// runs/<id>/inputs/<table>.arrow, Arrow IPC files as the step mapped them. A file that is there is
// whole, also after a power cut. They go with the run's directory.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/fd.h"
#include "data/history/runs.h"
#include "engine/core/engine.h"
#include "engine/run/step.h"

namespace rundlet::engine {

// Of one run, within its share of disk (Config::kept_inputs). Thread safety: Keep may be called
// from several threads.
class InputKeeper {
 public:
  InputKeeper(Engine& engine, const data::Run& run);

  // What became of each table. No failure of ours is thrown: that of the step is what is told.
  std::vector<data::InputRecord> Keep(const std::vector<StepInput>& inputs,
                                      const base::CancelToken* cancel);

 private:
  data::InputRecord KeepOne(const StepInput& input, const base::CancelToken* cancel);
  void Write(int table, uint64_t bytes, const std::string& file, const base::CancelToken* cancel);

  Engine& engine_;
  const data::Run& run_;
  std::mutex mutex_;
  uint64_t left_;  // bytes
};

// O_PATH; nothing when it was not kept.
std::optional<base::UniqueFd> FindKeptInput(store::Store& store, const std::string& run,
                                            const std::string& table);

}  // namespace rundlet::engine
