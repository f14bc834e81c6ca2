// Staging: where entries are made, and where they are taken apart.
//
// A directory staging/<id> belongs to whoever holds the lock on byte <id> of staging/.lock. The
// lock is taken before the directory is made and dropped after it is gone, so at every moment a
// directory whose byte can be locked is a dead process's leftover: a sweep removes it without
// racing anybody. Ids are random (62 bits) and not used again.
#pragma once

#include <memory>
#include <string>

namespace rundlet::store {

// A private directory below staging/, removed on destruction unless committed. It may outlive its
// Store.
class Staging {
 public:
  Staging(Staging&&) noexcept;
  Staging& operator=(Staging&&) noexcept;
  ~Staging();

  int dir() const;  // the directory itself (O_DIRECTORY|O_RDONLY); its content is under "tree"
  std::string tree_path() const;  // relative to the state directory: "staging/<id>/tree"
  int tree() const;               // descriptor of "tree"

 private:
  friend class Store;
  struct State;
  explicit Staging(std::unique_ptr<State> state);

  // An empty tree. `state` is the state directory, here and below.
  static Staging Create(int state);
  // Moves `path` (relative to the state directory) out of everybody's sight; it is removed on
  // destruction.
  static Staging Seize(int state, const std::string& path);
  // Removes what dead processes left. What cannot be removed is left for the next sweep.
  static void Sweep(int state);

  // Moves the directory to `path` and lets go of it. False when something that is not empty is
  // there.
  bool MoveTo(int state, const std::string& path);

  std::unique_ptr<State> state_;
};

}  // namespace rundlet::store
