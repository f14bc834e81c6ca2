// Sets: entries that are used together, time and again, as those of an environment are. What a
// start would otherwise do for each of them it does once: one lease, and one file to read.
//
// leases/sets/<key> is the list and the lease at once: whoever uses the set has byte 1 of it
// locked, as in the lease file of an entry (lease.h). It is only a shortcut: where there is none,
// or anything that it lists is not what it was, the entries are used one by one. So it is not
// synced, never written into and never replaced while it is used, and whoever removes an entry
// removes with it the sets that nobody uses, whatever they list.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "store/entry.h"
#include "store/lease.h"

namespace rundlet::store {

struct EntrySet {
  std::vector<std::pair<Kind, std::string>> entries;  // by their keys
  std::string meta;  // what they are together is their maker's business; kept byte for byte
};

// A set whose entries are all there, and kept there while this lives.
struct UsedSet {
  std::string meta;
  Lease lease;
};

// The part of Store that handles sets. All functions throw base::Error.
class EntrySets {
 public:
  // The descriptor of the state directory; it is borrowed.
  explicit EntrySets(int state) : state_(state) {}

  std::optional<UsedSet> Use(const base::Digest& key) const;
  // Under the leases of its entries. One of that key that somebody uses stays.
  void Keep(const base::Digest& key, const EntrySet& set) const;
  // Removes the sets that nobody uses, and returns the paths of the others.
  std::vector<std::string> Sweep() const;
  // Sweeps, under the entry's removal lease; whether any that is left has it.
  bool AreUsing(Kind kind, std::string_view key) const;

 private:
  int state_;
};

}  // namespace rundlet::store
