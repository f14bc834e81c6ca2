// For builds with the address sanitizer only: a worker's system-call filter forbids the ptrace that
// looking for leaks needs, and its environment is built from nothing, so no variable can say so.
#ifdef __SANITIZE_ADDRESS__
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }
#endif
