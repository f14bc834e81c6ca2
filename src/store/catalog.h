// The catalog: an index of the entries in sqlite, catalog.db, for listing without reading every
// record.
//
// It is only an index. What is there is what lies in the folders; a lost or damaged catalog is made
// anew and filled from the records, and nobody's work fails because of it. Rows are written after
// their entry is durable. Opened at first need: looking for an entry does not need it.
// Thread safety: may be used from several threads.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/entry.h"

namespace rundlet::store {

class Catalog {
 public:
  // `state` is the descriptor of the state directory; it is borrowed.
  explicit Catalog(int state);
  ~Catalog();

  // All throw Error when the catalog cannot be read or written.
  std::vector<EntryInfo> List(Kind kind);
  // Adds or replaces rows: all of them or none.
  void Put(const std::vector<EntryInfo>& entries);
  void Forget(Kind kind, const std::vector<std::string>& keys);

 private:
  struct State;
  struct Guarded;
  // Calls `work` with an open catalog; once more with a new one if the first turns out to be
  // damaged.
  void Run(const std::function<void(State&)>& work);

  const int state_dir_;
  std::unique_ptr<Guarded> guarded_;
};

}  // namespace rundlet::store
