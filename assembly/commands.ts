// Runs a list of kernel calls many times inside Wasm, so that a step costs no crossing from the host and threads meet at a
// barrier instead of a message. Every module in assembly/ re-exports `runCommands`; the host puts the kernels of all
// modules of a device into one function table, so a list may mix modules.
//
// list:    per call two u32 words: index in the function table, address of its argument block
// control: u32 words: 0 abort flag (set by the host), 1 barrier arrivals, 2 barrier generation, 3 steps finished (for
//          progress), 4 the number of steps after which all threads leave, 0 for none; all zero when a run starts

type Kernel = (args: usize, step: i32, thread: i32, threads: i32) => void;

const ABORT: usize = 0;
const ARRIVALS: usize = 4;
const GENERATION: usize = 8;
const FINISHED: usize = 12;
const STOP: usize = 16;

// A step of a small network is microseconds long: spin about that long before going to sleep.
const SPINS: i32 = 20000;

/** Of all threads of a run; also for kernels that have phases, with a control block of their own. */
export function barrier(control: usize, threads: i32): void {
  const generation = atomic.load<i32>(control, GENERATION);
  if (atomic.add<i32>(control, 1, ARRIVALS) == threads - 1) {
    atomic.store<i32>(control, 0, ARRIVALS);
    atomic.add<i32>(control, 1, GENERATION);
    atomic.notify(control + GENERATION, threads);
    return;
  }
  for (let i = 0; i < SPINS; i++) {
    if (atomic.load<i32>(control, GENERATION) != generation) return;
  }
  while (atomic.load<i32>(control, GENERATION) == generation) {
    atomic.wait<i32>(control + GENERATION, generation, -1);
  }
}

/** Runs `calls` calls `steps` times; returns the number of whole steps done (fewer than `steps` only after an abort). */
export function runCommands(
  list: usize,
  calls: i32,
  steps: i32,
  firstStep: i32,
  thread: i32,
  threads: i32,
  control: usize,
): i32 {
  const end = list + (<usize>calls << 3);
  const last = end - 8;
  for (let s = 0; s < steps; s++) {
    for (let at = list; at < end; at += 8) {
      call_indirect<void>(load<u32>(at), load<u32>(at, 4), firstStep + s, thread, threads);
      if (threads == 1) continue;
      if (thread == 0 && at == last) {
        // Thread 0 alone looks at the flag, and its answer crosses the barrier that the last kernel needs anyway. The answer
        // names the step: a thread that is slow to look must not take the answer to the next step for its own.
        atomic.store<i32>(control, s + 1, FINISHED);
        if (atomic.load<i32>(control, ABORT)) atomic.store<i32>(control, s + 1, STOP);
      }
      barrier(control, threads);
    }
    if (threads == 1) {
      store<i32>(control, s + 1, FINISHED);
      if (load<i32>(control, ABORT)) return s + 1;
    } else if (atomic.load<i32>(control, STOP) == s + 1) {
      return s + 1;
    }
  }
  return steps;
}
