#include "cli/options/limit_options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::cli {
namespace {

using Units = std::map<std::string, double>;

const Units& ByteUnits() {
  static const Units units = {{"", 1},         {"b", 1},        {"k", 0x1p10},   {"kib", 0x1p10},
                              {"kb", 1e3},     {"m", 0x1p20},   {"mib", 0x1p20}, {"mb", 1e6},
                              {"g", 0x1p30},   {"gib", 0x1p30}, {"gb", 1e9},     {"t", 0x1p40},
                              {"tib", 0x1p40}, {"tb", 1e12}};
  return units;
}

const Units& TimeUnits() {
  static const Units units = {{"", 1},     {"ms", 1e-3}, {"s", 1},     {"m", 60},
                              {"min", 60}, {"h", 3600},  {"d", 86'400}};
  return units;
}

const Units& NoUnits() {
  static const Units units = {{"", 1}};
  return units;
}

[[noreturn]] void RefuseAmount(const char* option, const std::string& text,
                               const std::string& why) {
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("reading `{} {}`", option, base::Printable(text)))
      .Because(why);
}

// A decimal number and a unit, more than 0. Nothing else: no sign, no exponent, no "inf".
std::optional<double> ParseAmount(const char* option, const std::string& text, const Units& units,
                                  const char* example) {
  if (text.empty()) return std::nullopt;
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  const std::string unit = base::LowerCase({rest, end});
  const auto factor = units.find(unit);
  if (error != std::errc() || !std::isfinite(number) || factor == units.end())
    RefuseAmount(option, text, fmt::format("it is not an amount such as {}", example));
  const double amount = number * factor->second;
  if (!(amount > 0)) RefuseAmount(option, text, "it must be more than 0");
  return amount;
}

std::optional<uint64_t> ParseWhole(const char* option, const std::string& text, const Units& units,
                                   const char* example) {
  const std::optional<double> amount = ParseAmount(option, text, units, example);
  if (!amount.has_value()) return std::nullopt;
  if (*amount >= 0x1p62) RefuseAmount(option, text, "it is more than any machine has");
  return static_cast<uint64_t>(std::max(*amount, 1.0));
}

}  // namespace

void AddLimitOptions(CLI::App& command, LimitOptions& options) {
  command.add_option("--memory", options.memory,
                     "Most memory of all its processes together, such as 512MiB");
  command.add_option("--cpus", options.cpus, "Most processor time, in processors: 2, 0.5");
  command.add_option("--pids", options.pids, "Most processes and threads (default: 2048)");
  command.add_option("--disk", options.disk,
                     "Most it may write to /tmp and elsewhere, such as 2GiB (default: 1GiB, and at "
                     "most half of --memory)");
  command.add_option("--timeout", options.timeout, "Longest it may run, such as 30s or 5m");
}

engine::WantedLimits ParseLimits(const LimitOptions& options) {
  engine::WantedLimits limits;
  limits.memory = ParseWhole("--memory", options.memory, ByteUnits(), "512MiB");
  limits.disk = ParseWhole("--disk", options.disk, ByteUnits(), "2GiB");
  limits.cpus = ParseAmount("--cpus", options.cpus, NoUnits(), "2 or 0.5");
  limits.timeout = ParseAmount("--timeout", options.timeout, TimeUnits(), "30s");
  if (const auto pids = ParseAmount("--pids", options.pids, NoUnits(), "100"); pids.has_value()) {
    if (*pids != std::floor(*pids))
      RefuseAmount("--pids", options.pids, "it is not a whole number");
    if (*pids > UINT32_MAX) RefuseAmount("--pids", options.pids, "it is more than any machine has");
    limits.pids = static_cast<uint32_t>(*pids);
  }
  return limits;
}

}  // namespace rundlet::cli
