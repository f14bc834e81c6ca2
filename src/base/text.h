// Small text functions: splitting, sizes and times for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rundlet::base {

std::vector<std::string> Split(std::string_view text, char separator);
std::string Join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view Trim(std::string_view text);
// ASCII letters only; other bytes stay.
std::string LowerCase(std::string_view text);

// "336,776".
std::string Grouped(uint64_t number);
// "4.2 MiB".
std::string HumanBytes(uint64_t bytes);
// "1.3 ms", "4.2 s", "2 min 10 s".
std::string HumanDuration(std::chrono::nanoseconds duration);

// The closest of `candidates` to a mistyped word, or empty when none is close. For hints.
std::string ClosestWord(std::string_view word, const std::vector<std::string>& candidates);

// The text without control characters (those of UTF-8 and escape sequences included): what
// outsiders say, made safe for a terminal. Tabs and newlines stay.
std::string Printable(std::string_view text);
// Printable, and of several lines the later ones indented: none can pass for a line of ours.
std::string Indented(std::string_view text);

}  // namespace rundlet::base
