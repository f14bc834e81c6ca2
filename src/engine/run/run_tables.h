// The tables that the tasks of one run make for each other: shared memory, kept as long as a task
// that will run needs it.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "engine/run/step.h"
#include "plans/pipeline.h"
#include "plans/plan/plan.h"

namespace rundlet::engine {

// Thread safety: a task's table is put by its own thread, before those that need it start.
class RunTables {
 public:
  explicit RunTables(const plans::Plan& plan);

  void Put(size_t task, SharedTable table) { tables_[task] = std::move(table); }
  // The table an input reads, of one of the tasks that `task` waits for: a step that ran, or the
  // scan that brings a kept result or a source.
  SharedTable For(const plans::Task& task, const plans::InputTable& wanted) const;

  // A task's use of the tables it needs. A table whose last reader has ended is dropped, and its
  // memory with it.
  class Reading {
   public:
    Reading(RunTables& tables, size_t task) : tables_(tables), task_(task) {}
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading();

   private:
    RunTables& tables_;
    size_t task_;
  };

 private:
  const plans::Plan& plan_;
  std::vector<SharedTable> tables_;  // by task
  // By task: those that run, need it, and have not ended.
  std::vector<std::atomic<size_t>> readers_;
};

}  // namespace rundlet::engine
