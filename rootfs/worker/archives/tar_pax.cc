#include "rootfs/worker/archives/tar_pax.h"

#include <charconv>
#include <set>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr std::string_view kXattr = "SCHILY.xattr.";

base::Error RefusePax(std::string why) {
  return base::Error(base::Fault::kInvalid, "reading a pax header").Because(std::move(why));
}

template <typename Number>
Number ParseDecimal(std::string_view text, std::string_view key) {
  Number value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  // from_chars takes a minus sign for signed numbers only, and never a plus sign or a space.
  if (error != std::errc() || stop != end) {
    throw RefusePax(
        fmt::format("`{}` is not a number: `{}`", key, base::Printable(text.substr(0, 40))));
  }
  return value;
}

// "1350244992.023960108"; further digits are cut.
PaxTime ParseTime(std::string_view text, std::string_view key) {
  const size_t point = text.find('.');
  PaxTime time;
  time.seconds = ParseDecimal<int64_t>(text.substr(0, point), key);
  if (point == text.npos) return time;
  std::string fraction(text.substr(point + 1));
  if (fraction.find_first_not_of("0123456789") != fraction.npos) {
    throw RefusePax(fmt::format("`{}` is not a time", key));
  }
  fraction.resize(9, '0');
  time.nanoseconds = ParseDecimal<uint32_t>(fraction, key);
  if (text.starts_with('-') && time.nanoseconds != 0) {  // -1.25 s is -2 s + 0.75 s
    if (time.seconds == INT64_MIN) throw RefusePax(fmt::format("`{}` is too small", key));
    time.seconds -= 1;
    time.nanoseconds = 1'000'000'000 - time.nanoseconds;
  }
  return time;
}

// Calls `take` with each record's key and value, each key at most once, but for the lists of sparse
// files.
template <typename Take>
void ForEachRecord(std::string_view text, Take take) {
  std::set<std::string_view> seen;
  while (!text.empty()) {
    const size_t space = text.find(' ');  // none: the largest number
    if (space > 10) throw RefusePax("a record has no length");
    const auto length = ParseDecimal<uint64_t>(text.substr(0, space), "length");
    if (length <= space + 1 || length > text.size() || text[length - 1] != '\n') {
      throw RefusePax("a record's length is wrong");
    }
    const std::string_view record = text.substr(space + 1, length - space - 2);
    text.remove_prefix(length);
    const size_t equals = record.find('=');
    if (equals == record.npos || equals == 0) throw RefusePax("a record has no key");
    const std::string_view key = record.substr(0, equals);
    if (!seen.insert(key).second && !SparseRecords::Repeats(key)) {
      throw RefusePax(fmt::format("`{}` is there twice", base::Printable(key.substr(0, 80))));
    }
    take(key, record.substr(equals + 1));
  }
}

bool IsSparseOfStar(std::string_view key) { return key == "SCHILY.realsize"; }

bool IsUsed(std::string_view key) {
  return key == "path" || key == "linkpath" || key == "size" || key == "uid" || key == "gid" ||
         key == "mtime";
}

std::string Name(std::string_view value, std::string_view key) {
  if (value.find('\0') != value.npos) throw RefusePax(fmt::format("`{}` holds a NUL byte", key));
  return std::string(value);
}

}  // namespace

PaxRecords ParsePax(std::string_view text) {
  PaxRecords records;
  ForEachRecord(text, [&](std::string_view key, std::string_view value) {
    if (IsSparseOfStar(key)) {
      throw RefusePax(
          "it describes a sparse file in star's own way, which other programs cannot read");
    }
    if (SparseRecords::IsOne(key)) records.sparse.Add(key, value);
    if (value.empty() && IsUsed(key)) {
      // To POSIX it takes an earlier record back, to Python it is the value.
      throw RefusePax(fmt::format("`{}` is empty", key));
    }
    if (key == "path") records.path = Name(value, key);
    if (key == "linkpath") records.link = Name(value, key);
    if (key == "size") records.size = ParseDecimal<uint64_t>(value, key);
    if (key == "uid") records.uid = ParseDecimal<uint64_t>(value, key);
    if (key == "gid") records.gid = ParseDecimal<uint64_t>(value, key);
    if (key == "mtime") records.mtime = ParseTime(value, key);
    if (key.starts_with(kXattr)) {
      records.xattrs.emplace_back(Name(key.substr(kXattr.size()), "the name of an attribute"),
                                  value);
    }
  });
  return records;
}

void CheckGlobalPax(std::string_view text) {
  ForEachRecord(text, [](std::string_view key, std::string_view) {
    if (!IsUsed(key) && !SparseRecords::IsOne(key) && !IsSparseOfStar(key) &&
        !key.starts_with(kXattr))
      return;
    throw RefusePax(fmt::format("`{}` is set for the whole archive, on which tar programs disagree",
                                base::Printable(key.substr(0, 80))));
  });
}

}  // namespace rundlet::rootfs::worker
