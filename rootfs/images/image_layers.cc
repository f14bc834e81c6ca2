#include "rootfs/images/image_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/cancel_relay.h"
#include "base/error.h"

namespace rundlet::rootfs {
namespace {

// Takes layers one after another, in several threads. The first failure stops the others, too.
class LayerQueue {
 public:
  LayerQueue(store::Store& store, WorkerClient& worker, const std::vector<LayerSource>& sources,
             const ImportProgressCallback& progress, const base::CancelToken* cancel)
      : store_(store),
        worker_(worker),
        sources_(sources),
        progress_(progress),
        cancel_(cancel),
        held_(sources.size()) {}

  std::vector<std::optional<HeldLayer>> Run(size_t at_once) {
    {
      const base::CancelRelay relay(cancel_, stop_);
      std::vector<std::jthread> others;
      for (size_t i = 1; i < std::min(at_once, sources_.size()); ++i) {
        others.emplace_back([this] { Work(); });
      }
      Work();
    }
    if (failure_) std::rethrow_exception(failure_);
    return std::move(held_);
  }

 private:
  void Work() {
    while (true) {
      const size_t number = next_++;
      if (number >= sources_.size()) return;
      try {
        if (cancel_ != nullptr) cancel_->ThrowIfCancelled();
        stop_.ThrowIfCancelled();
        held_[number] = EnsureLayer(
            store_, worker_, sources_[number], window_,
            [&](LayerState state, uint64_t done, uint64_t total) {
              Report(number, state, done, total);
            },
            &stop_);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        next_ = sources_.size();
        stop_.Cancel();
      }
    }
  }

  void Report(size_t number, LayerState state, uint64_t done, uint64_t total) {
    if (!progress_) return;
    const std::lock_guard lock(mutex_);
    progress_({number, sources_.size(), sources_[number].diff_id, state, done, total});
  }

  store::Store& store_;
  WorkerClient& worker_;
  const std::vector<LayerSource>& sources_;
  const ImportProgressCallback& progress_;
  const base::CancelToken* cancel_;
  base::CancelToken stop_;
  const LargeWindow window_;
  std::vector<std::optional<HeldLayer>> held_;  // each element is one thread's at a time
  std::atomic<size_t> next_{0};
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace

void LabelLayers(const std::string& image, std::vector<LayerSource>& sources) {
  for (size_t i = 0; i < sources.size(); ++i) {
    sources[i].label = fmt::format("{}, layer {} of {}", image, i + 1, sources.size());
  }
}

ImportedImage EnsureLayers(store::Store& store, WorkerClient& worker,
                           const std::vector<LayerSource>& sources, size_t at_once,
                           const ImportProgressCallback& progress,
                           const base::CancelToken* cancel) {
  std::vector<std::optional<HeldLayer>> held =
      LayerQueue(store, worker, sources, progress, cancel).Run(at_once);
  ImportedImage imported;
  for (size_t i = 0; i < held.size(); ++i) {
    if (held[i]->hides_lower) {
      imported.image.layers.clear();
      imported.leases.clear();
    }
    imported.image.layers.push_back(sources[i].diff_id);
    imported.leases.push_back(std::move(held[i]->lease));
  }
  return imported;
}

}  // namespace rundlet::rootfs
