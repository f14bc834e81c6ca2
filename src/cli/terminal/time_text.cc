#include "cli/terminal/time_text.h"

#include <ctime>

namespace rundlet::cli {

std::string TimeText(int64_t seconds_since_epoch) {
  const time_t time = seconds_since_epoch;
  tm parts;
  char text[32];
  if (localtime_r(&time, &parts) == nullptr) return "-";
  strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

}  // namespace rundlet::cli
