#include "rootfs/worker/archives/tar_sparse.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kExtents = 65'536;  // of one file
constexpr size_t kLongestNumber = 19;
constexpr std::string_view kPrefix = "GNU.sparse.";

base::Error RefuseSparse(std::string why) {
  return base::Error(base::Fault::kInvalid, "reading a sparse file in a tar archive")
      .Because(std::move(why));
}

uint64_t DecimalOf(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > INT64_MAX) {
    throw RefuseSparse(fmt::format("`{}` is not a number", base::Printable(text.substr(0, 40))));
  }
  return value;
}

void AddExtent(SparseMap& map, TarExtent extent) {
  if (map.extents.size() == kExtents) {
    throw RefuseSparse(fmt::format("it has more than {} parts", kExtents));
  }
  map.extents.push_back(extent);
}

// A list of the old form: slots of two numbers, the unused ones behind the used ones. True while
// none was unused.
bool AddSlots(SparseMap& map, std::string_view slots) {
  constexpr size_t kNumber = 12;
  bool full = true;
  for (; !slots.empty(); slots.remove_prefix(2 * kNumber)) {
    const std::string_view slot = slots.substr(0, 2 * kNumber);
    if (slot.find_first_not_of('\0') == slot.npos) {
      full = false;
      continue;
    }
    // Programs differ on which of the two numbers ends the list.
    if (!full || slot[0] == '\0' || slot[kNumber] == '\0') {
      throw RefuseSparse("its list of parts has a gap");
    }
    AddExtent(map, {ParseTarNumber(slot.substr(0, kNumber), "offset of a part"),
                    ParseTarNumber(slot.substr(kNumber), "size of a part")});
  }
  return full;
}

SparseMap PairsOf(const std::vector<uint64_t>& numbers, uint64_t count) {
  if (numbers.size() != 2 * count) throw RefuseSparse("its list of parts has another length");
  SparseMap map;
  for (size_t i = 0; i < numbers.size(); i += 2) AddExtent(map, {numbers[i], numbers[i + 1]});
  return map;
}

// Numbers, each ended by a newline, in whole blocks: how many pairs, and the pairs.
class ListReader {
 public:
  explicit ListReader(const TakeBytes& take) : take_(take) {}

  uint64_t Number() {
    std::string digits;
    for (char c = Next(); c != '\n'; c = Next()) {
      if (digits.size() == kLongestNumber) throw RefuseSparse("its list of parts has no end");
      digits += c;
    }
    return DecimalOf(digits);
  }

  uint64_t Finish() {
    const bool zeros = std::all_of(block_.begin() + static_cast<ptrdiff_t>(position_), block_.end(),
                                   [](std::byte byte) { return byte == std::byte{0}; });
    if (!zeros) throw RefuseSparse("there is something behind its list of parts");
    return taken_;
  }

 private:
  char Next() {
    if (position_ == block_.size()) {
      take_(block_);
      taken_ += block_.size();
      position_ = 0;
    }
    return static_cast<char>(block_[position_++]);
  }

  const TakeBytes& take_;
  TarBlock block_{};
  size_t position_ = kTarBlock;
  uint64_t taken_ = 0;
};

}  // namespace

SparseMap TakeGnuSparse(const TarBlock& header, const TakeBytes& take) {
  const auto field = [](const TarBlock& block, size_t offset, size_t length) {
    return std::string_view(reinterpret_cast<const char*>(block.data()) + offset, length);
  };
  // In other formats a path's prefix lies where the list is.
  if (field(header, 257, 8) != std::string_view("ustar  \0", 8)) {
    throw RefuseSparse("its header is not one of GNU tar");
  }
  SparseMap map;
  bool full = AddSlots(map, field(header, 386, 96));
  bool more = header[482] != std::byte{0};
  map.file_size = ParseTarNumber(field(header, 483, 12), "size of a sparse file");
  while (more) {
    if (!full) throw RefuseSparse("its list of parts has a gap");
    TarBlock block;
    take(block);
    full = AddSlots(map, field(block, 0, 504));
    more = block[504] != std::byte{0};
  }
  return map;
}

bool SparseRecords::Repeats(std::string_view key) {
  return key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes";
}

bool SparseRecords::Has(std::string_view key) const {
  return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
}

void SparseRecords::Add(std::string_view key, std::string_view value) {
  const std::string_view what = key.substr(kPrefix.size());
  if (!Has(what)) keys_.emplace_back(what);
  if (what == "name") {
    if (value.empty() || value.find('\0') != value.npos) throw RefuseSparse("it has no name");
    name_ = value;
  } else if (what == "map") {
    list_ = value;
  } else if (what == "size" || what == "realsize") {
    if (size_) throw RefuseSparse("its size is stated twice");
    size_ = DecimalOf(value);
  } else if (what == "numblocks") {
    count_ = DecimalOf(value);
  } else if (what == "major") {
    major_ = DecimalOf(value);
  } else if (what == "minor") {
    minor_ = DecimalOf(value);
  } else if (Repeats(key)) {
    if ((what == "numbytes") != wants_size_) {
      throw RefuseSparse("its list of parts is out of order");
    }
    wants_size_ = !wants_size_;
    if (numbers_.size() == 2 * kExtents) {
      throw RefuseSparse(fmt::format("it has more than {} parts", kExtents));
    }
    numbers_.push_back(DecimalOf(value));
  } else {
    throw RefuseSparse(fmt::format("`{}` is not known", base::Printable(key.substr(0, 80))));
  }
}

SparseRecords::Found SparseRecords::Take(const TakeBytes& take) const {
  if (!size_) throw RefuseSparse("its size is not stated");
  // Of a header that could be read as two versions, programs take different ones.
  const bool listed = Has("map") || Has("numblocks") || Has("offset") || Has("numbytes");
  Found found;
  if (major_ == 1U && minor_ == 0U && !listed && Has("realsize")) {
    ListReader reader(take);
    const uint64_t count = reader.Number();
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t offset = reader.Number();
      AddExtent(found.map, {offset, reader.Number()});
    }
    found.list_bytes = reader.Finish();
  } else if (!major_ && !minor_ && count_ && Has("size") && Has("map") && numbers_.empty()) {
    std::vector<uint64_t> numbers;
    if (!list_.empty()) {
      for (const std::string& number : base::Split(list_, ',')) {
        numbers.push_back(DecimalOf(number));
      }
    }
    found.map = PairsOf(numbers, *count_);
  } else if (!major_ && !minor_ && count_ && Has("size") && !Has("map") && !wants_size_) {
    found.map = PairsOf(numbers_, *count_);
  } else {
    throw RefuseSparse("its headers are of no version that programs agree on");
  }
  found.map.file_size = *size_;
  return found;
}

void CheckSparse(const SparseMap& map, uint64_t stored) {
  uint64_t end = 0;    // of the extents so far, in the file
  uint64_t bytes = 0;  // of them, in the archive
  for (const TarExtent& extent : map.extents) {
    if (extent.offset < end || extent.offset > map.file_size ||
        extent.size > map.file_size - extent.offset) {
      throw RefuseSparse("its parts overlap, are out of order, or lie behind its end");
    }
    // GNU tar begins each part with a block of its own, others go on in the middle of one.
    if (extent.size != 0 && bytes % kTarBlock != 0) {
      throw RefuseSparse("a part of it ends inside a block, on which tar programs disagree");
    }
    end = extent.offset + extent.size;
    bytes += extent.size;
  }
  if (bytes != stored) {
    throw RefuseSparse(fmt::format("its parts have {} bytes, the archive {}", bytes, stored));
  }
}

}  // namespace rundlet::rootfs::worker
