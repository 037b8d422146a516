// Copies the state of chosen neurons into a recording, one frame per step.

/** args: state, ids, record, batch, neurons, chosen, frames, origin */
export function recordState(args: usize, step: i32, thread: i32, threads: i32): void {
  const frame = step - load<i32>(args, 28);
  if (frame < 0 || frame >= load<i32>(args, 24)) return;
  const ids = load<u32>(args, 4);
  const batch = load<i32>(args, 12);
  const neurons = load<i32>(args, 16);
  const chosen = load<i32>(args, 20);
  const begin = <i32>((<i64>batch * thread) / threads);
  const end = <i32>((<i64>batch * (thread + 1)) / threads);
  for (let b = begin; b < end; b++) {
    const state = load<u32>(args) + ((<usize>b * <usize>neurons) << 2);
    const record = load<u32>(args, 8) + ((<usize>(frame * batch + b) * <usize>chosen) << 2);
    for (let k: usize = 0; k < <usize>chosen << 2; k += 4) {
      store<u32>(record + k, load<u32>(state + (<usize>load<u32>(ids + k) << 2)));
    }
  }
}
