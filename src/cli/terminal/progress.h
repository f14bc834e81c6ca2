// Events, as people see them: a live tree on a terminal, plain lines otherwise, nothing when quiet.
//
// Everything goes to standard error. NO_COLOR is respected. Thread safety: the sink may be called
// from any thread.
#pragma once

#include <memory>

#include "cli/options.h"
#include "engine/core/events.h"

namespace rundlet::cli {

class Progress {
 public:
  explicit Progress(const Options& options);
  ~Progress();  // takes the live part off the screen
  engine::EventSink Sink();

 private:
  class View;
  std::unique_ptr<View> view_;
};

}  // namespace rundlet::cli
