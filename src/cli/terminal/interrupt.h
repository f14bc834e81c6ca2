// Ctrl-C and friends: the token is cancelled, and the signal's number can be read from a
// descriptor.
#pragma once

#include "base/cancel.h"

namespace rundlet::cli {

// Installs handlers for INT, TERM and HUP, once for the process.
void CatchInterrupts();
// Cancelled by the first of these signals.
const base::CancelToken& Interrupted();
// Readable: one byte a signal, its number.
int InterruptDescriptor();
// Of the last signal; 0 when there was none.
int InterruptSignal();

}  // namespace rundlet::cli
