#include "cli/terminal/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/fs.h"

namespace rundlet::cli {
namespace {

base::CancelToken* token = nullptr;
base::Pipe* numbers = nullptr;
std::atomic<int> last{0};

void Handle(int number) {
  const int saved = errno;
  last.store(number);
  token->Cancel();
  const auto byte = static_cast<unsigned char>(number);
  [[maybe_unused]] const ssize_t written = write(numbers->write.get(), &byte, 1);
  errno = saved;
}

}  // namespace

void CatchInterrupts() {
  // Kept until the process ends: a handler may run at any time.
  static base::CancelToken the_token;
  static base::Pipe the_pipe = base::MakePipe(O_NONBLOCK);
  token = &the_token;
  numbers = &the_pipe;
  struct sigaction action {};
  action.sa_handler = Handle;
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
}

const base::CancelToken& Interrupted() { return *token; }
int InterruptDescriptor() { return numbers->read.get(); }
int InterruptSignal() { return last.load(); }

}  // namespace rundlet::cli
