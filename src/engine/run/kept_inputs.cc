#include "engine/run/kept_inputs.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"

namespace rundlet::engine {
namespace {

constexpr const char* kInputsFolder = "inputs";
constexpr uint64_t kCopyPiece = 16 << 20;  // between looks at the cancel token

std::string FileOfInput(const std::string& table) {
  return fmt::format("{}/{}.arrow", kInputsFolder, table);
}

uint64_t BytesOf(int table) {
  struct stat info;
  if (fstat(table, &info) < 0) base::ThrowErrno("looking at a table");
  return static_cast<uint64_t>(info.st_size);
}

}  // namespace

InputKeeper::InputKeeper(Engine& engine, const data::Run& run)
    : engine_(engine), run_(run), left_(engine.config().kept_inputs) {}

std::vector<data::InputRecord> InputKeeper::Keep(const std::vector<StepInput>& inputs,
                                                 const base::CancelToken* cancel) {
  const std::lock_guard guard(mutex_);
  std::vector<data::InputRecord> records;
  for (const StepInput& input : inputs) {
    const bool known =
        std::any_of(records.begin(), records.end(),
                    [&input](const data::InputRecord& one) { return one.table == input.model; });
    if (known) continue;
    try {
      records.push_back(KeepOne(input, cancel));
    } catch (const base::Error& error) {
      records.push_back({.table = input.model, .missing = error.chain().back()});
    }
  }
  return records;
}

data::InputRecord InputKeeper::KeepOne(const StepInput& input, const base::CancelToken* cancel) {
  data::InputRecord record = {.table = input.model, .bytes = BytesOf(input.table->get())};
  const std::string file = FileOfInput(input.model);
  if (base::ExistsAt(run_.dir(), file)) return record;  // another failed step had it too
  if (record.bytes > left_) {
    record.missing = fmt::format("it has {}, and {} are left to this run",
                                 base::HumanBytes(record.bytes), base::HumanBytes(left_));
    return record;
  }
  Write(input.table->get(), record.bytes, file, cancel);
  left_ -= record.bytes;
  return record;
}

// Made in staging: what a killed process leaves of it is swept.
void InputKeeper::Write(int table, uint64_t bytes, const std::string& file,
                        const base::CancelToken* cancel) {
  const store::Staging staging = engine_.store().NewStaging();
  const base::UniqueFd copy =
      base::OpenAt(staging.tree(), "table", O_WRONLY | O_CREAT | O_EXCL, 0444);
  for (off_t offset = 0; static_cast<uint64_t>(offset) < bytes;) {
    if (cancel != nullptr) cancel->ThrowIfCancelled();
    const ssize_t count =
        sendfile(copy.get(), table, &offset,
                 std::min<uint64_t>(kCopyPiece, bytes - static_cast<uint64_t>(offset)));
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) errno = EIO;  // it is sealed, and cannot be shorter than it was
    if (count <= 0) base::ThrowErrno("keeping an input");
  }
  // Whatever the umask: sandboxes see it as another user.
  if (fchmod(copy.get(), 0444) < 0 || fsync(copy.get()) < 0) base::ThrowErrno("keeping an input");
  base::MakeDirs(run_.dir(), kInputsFolder, 0700);
  if (renameat(staging.tree(), "table", run_.dir(), file.c_str()) < 0)
    base::ThrowErrno("keeping an input");
}

std::optional<base::UniqueFd> FindKeptInput(store::Store& store, const std::string& run,
                                            const std::string& table) {
  return base::TryOpenAt(store.dir(), fmt::format("runs/{}/{}", run, FileOfInput(table)), O_PATH);
}

}  // namespace rundlet::engine
