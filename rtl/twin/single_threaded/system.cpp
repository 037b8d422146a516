// What a system would do for wasi-libc and Verilator's runtime, done here, so that the module imports nothing.
#include <cstdint>

#include "verilated.h"
#include "verilated_threads.h"

#define IMPORTED(name) extern "C" int32_t __imported_wasi_snapshot_preview1_##name

namespace {
constexpr int32_t kBadDescriptor = 8, kNotSupported = 58;
}

IMPORTED(args_get)(int32_t, int32_t) { return kNotSupported; }
IMPORTED(args_sizes_get)(int32_t, int32_t) { return kNotSupported; }
IMPORTED(environ_get)(int32_t, int32_t) { return 0; }
IMPORTED(environ_sizes_get)(int32_t count, int32_t size) {
  *reinterpret_cast<uint32_t *>(count) = 0;
  *reinterpret_cast<uint32_t *>(size) = 0;
  return 0;
}
IMPORTED(clock_time_get)(int32_t, int64_t, int32_t) { return kNotSupported; }
IMPORTED(fd_close)(int32_t) { return kBadDescriptor; }
IMPORTED(fd_fdstat_get)(int32_t, int32_t) { return kBadDescriptor; }
IMPORTED(fd_fdstat_set_flags)(int32_t, int32_t) { return kBadDescriptor; }
IMPORTED(fd_prestat_get)(int32_t, int32_t) { return kBadDescriptor; }
IMPORTED(fd_prestat_dir_name)(int32_t, int32_t, int32_t) { return kBadDescriptor; }
IMPORTED(fd_read)(int32_t, int32_t, int32_t, int32_t) { return kBadDescriptor; }
IMPORTED(fd_seek)(int32_t, int64_t, int32_t, int32_t) { return kBadDescriptor; }
IMPORTED(fd_write)(int32_t, int32_t, int32_t, int32_t) { return kBadDescriptor; }
IMPORTED(path_open)(int32_t, int32_t, int32_t, int32_t, int32_t, int64_t, int64_t, int32_t, int32_t) { return kNotSupported; }
IMPORTED(path_create_directory)(int32_t, int32_t, int32_t) { return kNotSupported; }
extern "C" [[noreturn]] void __imported_wasi_snapshot_preview1_proc_exit(int32_t) { __builtin_trap(); }

extern "C" int __cxa_thread_atexit(void (*)(void *), void *, void *) { return 0; }
