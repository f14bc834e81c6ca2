// Work that may be stopped for more than one reason.
#pragma once

#include <thread>

#include "base/cancel.h"

namespace rundlet::base {

// Passes on to one token what is said to another, as long as this lives.
class CancelRelay {
 public:
  // Both are borrowed; `from` may be null.
  CancelRelay(const CancelToken* from, CancelToken& to);
  ~CancelRelay();
  CancelRelay(const CancelRelay&) = delete;
  CancelRelay& operator=(const CancelRelay&) = delete;

 private:
  CancelToken ended_;
  std::jthread thread_;
};

}  // namespace rundlet::base
