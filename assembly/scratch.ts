// Page 0, which the host never hands out, is scratch: each thread has its share of it for as long as a kernel runs.

const PAGE: usize = 65536;

/** Address of a thread's share, a multiple of 16; what is in it is left over from anything. */
// @ts-ignore: decorator
@inline
export function scratchOf(thread: i32, threads: i32): usize {
  return <usize>thread * scratchBytes(threads);
}

/** Bytes of a thread's share: at least 1024 with 64 threads, the most a device has. */
// @ts-ignore: decorator
@inline
export function scratchBytes(threads: i32): usize {
  return (PAGE / <usize>threads) & ~<usize>15;
}
