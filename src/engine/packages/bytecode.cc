#include "engine/packages/bytecode.h"

#include <fcntl.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/cancel_relay.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "rootfs/packages/bytecode.h"
#include "rootfs/packages/compiler_protocol.h"
#include "rootfs/packages/package.h"

namespace rundlet::engine {

namespace {

using store::Kind;

constexpr size_t kMostTogether = 16;
constexpr uint64_t kQuick = uint64_t{1} << 20;  // bytes of a wheel

bool IsQuick(const rootfs::Distribution& wheel) { return wheel.size <= kQuick; }

std::string LowerKeyFor(const rootfs::Image& image, const rootfs::Distribution& distribution) {
  return rootfs::LowerKey(rootfs::PackageKey(distribution, image.interpreter.tag),
                          image.interpreter);
}

std::string InOneLine(const base::Error& error) {
  const std::string hint = error.hint().empty() ? "" : fmt::format(" ({})", error.hint());
  return base::Join(error.chain(), ": ") + hint;
}

}  // namespace

store::NewEntry CompileLower(Engine& engine, const rootfs::Image& image,
                             const store::EntryInfo& package, const std::string& tree,
                             const base::CancelToken* cancel) {
  store::Staging staging = engine.store().NewStaging();
  RunCompiler(engine, image, rootfs::MakeCompileCommand(tree, image.interpreter, staging),
              fmt::format("compiling `{}` in image `{}`", package.name, image.name), staging,
              cancel);
  const base::UniqueFd folder = base::OpenAt(engine.store().dir(), tree, O_PATH | O_DIRECTORY);
  return rootfs::PrepareLower(folder.get(), package, image.interpreter, std::move(staging));
}

BytecodeQueue::Installing::Installing(BytecodeQueue& queue) : queue_(queue) {
  const std::lock_guard lock(queue_.mutex_);
  ++queue_.installing_;
}

BytecodeQueue::Installing::~Installing() {
  const std::lock_guard lock(queue_.mutex_);
  --queue_.installing_;
  queue_.changed_.notify_all();
}

BytecodeQueue::~BytecodeQueue() {
  given_up_.Cancel();
  const std::lock_guard lock(mutex_);
  for (std::jthread& thread : threads_) thread.request_stop();
}

void BytecodeQueue::Add(const rootfs::Image& image, const rootfs::Distribution& distribution) {
  const std::lock_guard lock(mutex_);
  const std::string key = LowerKeyFor(image, distribution);
  const bool is_there = std::any_of(waiting_.begin(), waiting_.end(), [&](const Wanted& one) {
    return LowerKeyFor(one.image, one.distribution) == key;
  });
  if (is_there) return;  // a thread cannot wait for a lease of its own
  // Before anything waits for it: there may be none to be had.
  if (threads_.size() < engine_.config().cores)
    threads_.emplace_back([this](const std::stop_token& stop) { Serve(stop); });
  waiting_.push_back({image, distribution});
  ++left_;
  changed_.notify_all();
}

size_t BytecodeQueue::left() {
  const std::lock_guard lock(mutex_);
  return left_;
}

void BytecodeQueue::Wait(const base::CancelToken* cancel) {
  const base::CancelRelay relay(cancel, given_up_);
  std::unique_lock lock(mutex_);
  ++awaited_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return left_ == 0; });
  --awaited_;
  given_up_.ThrowIfCancelled();
}

std::vector<std::string> BytecodeQueue::TakeFailures() {
  const std::lock_guard lock(mutex_);
  return std::exchange(failures_, {});
}

// One thread.
void BytecodeQueue::Serve(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return MayTake(); })) {
    Batch batch = Take();
    ++running_;
    lock.unlock();
    Make(batch);
    lock.lock();
    --running_;
    left_ -= batch.wanted.size();
    failures_.insert(failures_.end(), batch.failures.begin(), batch.failures.end());
    changed_.notify_all();
  }
}

bool BytecodeQueue::MayTake() const {
  if (waiting_.empty()) return false;
  const size_t cores = engine_.config().cores;
  if (awaited_ > 0) return running_ < cores;
  return installing_ == 0 && running_ < std::max<size_t>(1, cores / 2);
}

// A large one alone: others need not wait for it. Leases are taken in the order of their keys.
BytecodeQueue::Batch BytecodeQueue::Take() {
  Batch batch;
  do {
    batch.wanted.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  } while (!waiting_.empty() && batch.wanted.size() < kMostTogether &&
           IsQuick(batch.wanted.back().distribution) && IsQuick(waiting_.front().distribution));
  std::sort(batch.wanted.begin(), batch.wanted.end(), [](const Wanted& a, const Wanted& b) {
    return LowerKeyFor(a.image, a.distribution) < LowerKeyFor(b.image, b.distribution);
  });
  return batch;
}

void BytecodeQueue::Make(Batch& batch) {
  try {
    for (const Wanted& wanted : batch.wanted) Compile(wanted, batch);
    if (!batch.made.empty()) engine_.store().CommitAll(std::move(batch.made));
  } catch (const base::Cancelled&) {
    // It is made when it is wanted again.
  } catch (const base::Error& error) {
    batch.failures.push_back(InOneLine(error));
  } catch (const std::exception& error) {
    batch.failures.emplace_back(error.what());
  }
}

void BytecodeQueue::Compile(const Wanted& wanted, Batch& batch) {
  given_up_.ThrowIfCancelled();
  store::Store& store = engine_.store();
  const std::string package_key =
      rootfs::PackageKey(wanted.distribution, wanted.image.interpreter.tag);
  const std::string key = LowerKeyFor(wanted.image, wanted.distribution);
  batch.leases.push_back(store.Use(Kind::kPackage, package_key));
  batch.leases.push_back(store.Make(Kind::kLower, key, &given_up_));
  const auto package = store.Find(Kind::kPackage, package_key);
  if (!package.has_value() || store.Find(Kind::kLower, key)) return;
  try {
    batch.made.push_back(CompileLower(engine_, wanted.image, *package,
                                      store::Store::PathOf(Kind::kPackage, package_key),
                                      &given_up_));
  } catch (const base::Cancelled&) {
    throw;
  } catch (const base::Error& error) {
    batch.failures.push_back(InOneLine(error));
  }
}

}  // namespace rundlet::engine
