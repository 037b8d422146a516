// Current-based LIF neurons with exponential synapses that all share their constants, in "decay-free" form. The membrane
// equation is diagonal: above the leak potential, v = u + sum of g_r, where u decays with the membrane and g_r (scaled by its
// particular solution) with receptor r. Each is kept as of the start of a period of steps, v = A(p) U + sum of B_r(p) G_r with
// the decays A, B_r of phase p from a table: so nothing decays in memory, a step only reads, and only events write. At the end of
// a period everything is brought forward at once. A refractory neuron holds u = HELD, which no input lifts to threshold.
// A row of the table is A, B_1 .. B_R, then threshold / A, B_1 / A .. B_R / A: whether v is above threshold is asked divided by A,
// which spares a multiplication.
import { arrivingSlot, neuronBegin, neuronEnd, partBegin, partEnd, sampleBegin, sampleEnd } from './share';

const HELD: f32 = -1e30;
/** Below this a brought-forward current is dropped, before it becomes a (slow) denormal. */
const SILENT: f32 = 1e-25;

/** args: state, decays, spikeIndex, spikeIds, spikeBits, batch, neurons, receptors, period, slots, refractory, origin, reset */
export function cubaLifStep(args: usize, step: i32, thread: i32, threads: i32): void {
  const batch = load<i32>(args, 20);
  const neurons = load<i32>(args, 24);
  const receptors = load<i32>(args, 28);
  const period = load<i32>(args, 32);
  const slots = load<i32>(args, 36);
  const refractory = load<i32>(args, 40);
  const origin = load<i32>(args, 44);
  const reset = load<f32>(args, 48);
  const phase = (step - origin) % period;
  const half = <usize>(receptors + 1) << 2;
  const decays = load<u32>(args, 4) + <usize>(phase + 1) * 2 * half;
  const words = (neurons + 31) >> 5;
  const from = neuronBegin(batch, neurons, 32, thread, threads);
  const to = neuronEnd(batch, neurons, 32, thread, threads);
  const width = <usize>neurons << 2;
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const u = load<u32>(args) + <usize>b * width * <usize>(receptors + 1);
    const bits = load<u32>(args, 16) + ((<usize>b * <usize>words) << 2);
    if (receptors == 2) scanTwo(u, width, decays + half, bits, from, to);
    else scan(u, width, decays + half, bits, from, to, receptors);

    // Who fired: held, or reset at once.
    for (let w = from >> 5; w < (to + 31) >> 5; w++) {
      let word = load<u32>(bits + (<usize>w << 2));
      while (word) {
        const n = (<usize>w << 5) + <usize>ctz(word);
        word &= word - 1;
        if (refractory > 0) store<f32>(u + (n << 2), HELD);
        else restart(u + (n << 2), width, decays, receptors, reset);
      }
    }
    // Whose refractory time ends with this step.
    const slot = refractory > 0 ? arrivingSlot(step, origin, refractory, slots) : -1;
    if (slot >= 0) {
      const pair = load<u32>(args, 8) + (<usize>(slot * batch + b) << 3);
      let id = load<u32>(args, 12) + (<usize>load<u32>(pair) << 2);
      const last = id + (<usize>load<u32>(pair, 4) << 2);
      for (; id < last; id += 4) {
        const n = load<i32>(id);
        if (n >= from && n < to) restart(u + (<usize>n << 2), width, decays, receptors, reset);
      }
    }
    if (phase == period - 1) bringForward(u, width, decays, from, to, receptors);
  }
}

/** Sets u so that the potential at the end of this step is `reset`. */
// @ts-ignore: decorator
@inline
function restart(u: usize, width: usize, decays: usize, receptors: i32, reset: f32): void {
  let rest = reset;
  for (let r = 1; r <= receptors; r++) {
    rest -= load<f32>(decays + (<usize>r << 2)) * load<f32>(u + <usize>r * width);
  }
  store<f32>(u, rest / load<f32>(decays));
}

/**
 * The commonest case (excitation and inhibition), 32 neurons to a word of spike bits. Hardly any word has a spike, so the
 * loop asks only whether the largest of them is above. `ratios`: threshold / A, B_1 / A, B_2 / A.
 */
function scanTwo(u: usize, width: usize, ratios: usize, bits: usize, from: i32, to: i32): void {
  const level = v128.load32_splat(ratios);
  const e = v128.load32_splat(ratios + 4);
  const i = v128.load32_splat(ratios + 8);
  let n = from;
  for (; n + 32 <= to; n += 32) {
    const at = u + (<usize>n << 2);
    const ge = at + width;
    const gi = ge + width;
    const v0 = lifted(at, ge, gi, e, i, 0);
    const v1 = lifted(at, ge, gi, e, i, 16);
    const v2 = lifted(at, ge, gi, e, i, 32);
    const v3 = lifted(at, ge, gi, e, i, 48);
    const v4 = lifted(at, ge, gi, e, i, 64);
    const v5 = lifted(at, ge, gi, e, i, 80);
    const v6 = lifted(at, ge, gi, e, i, 96);
    const v7 = lifted(at, ge, gi, e, i, 112);
    const most = f32x4.pmax(
      f32x4.pmax(f32x4.pmax(v0, v1), f32x4.pmax(v2, v3)),
      f32x4.pmax(f32x4.pmax(v4, v5), f32x4.pmax(v6, v7)),
    );
    let word: u32 = 0;
    if (v128.any_true(f32x4.gt(most, level))) {
      word =
        <u32>i32x4.bitmask(f32x4.gt(v0, level)) |
        (<u32>i32x4.bitmask(f32x4.gt(v1, level)) << 4) |
        (<u32>i32x4.bitmask(f32x4.gt(v2, level)) << 8) |
        (<u32>i32x4.bitmask(f32x4.gt(v3, level)) << 12) |
        (<u32>i32x4.bitmask(f32x4.gt(v4, level)) << 16) |
        (<u32>i32x4.bitmask(f32x4.gt(v5, level)) << 20) |
        (<u32>i32x4.bitmask(f32x4.gt(v6, level)) << 24) |
        (<u32>i32x4.bitmask(f32x4.gt(v7, level)) << 28);
    }
    store<u32>(bits + (<usize>(n >> 5) << 2), word);
  }
  if (n < to) scanRest(u, width, ratios, bits, n, to, 2);
}

// @ts-ignore: decorator
@inline
function lifted(u: usize, ge: usize, gi: usize, e: v128, i: v128, offset: usize): v128 {
  return f32x4.add(
    f32x4.add(v128.load(u + offset), f32x4.mul(e, v128.load(ge + offset))),
    f32x4.mul(i, v128.load(gi + offset)),
  );
}

function scan(u: usize, width: usize, ratios: usize, bits: usize, from: i32, to: i32, receptors: i32): void {
  const level = v128.load32_splat(ratios);
  let n = from;
  for (; n + 32 <= to; n += 32) {
    let word: u32 = 0;
    for (let k = 0; k < 32; k += 4) {
      const at = u + (<usize>(n + k) << 2);
      let v = v128.load(at);
      for (let r = 1; r <= receptors; r++) {
        v = f32x4.add(v, f32x4.mul(v128.load32_splat(ratios + (<usize>r << 2)), v128.load(at + <usize>r * width)));
      }
      word |= <u32>i32x4.bitmask(f32x4.gt(v, level)) << k;
    }
    store<u32>(bits + (<usize>(n >> 5) << 2), word);
  }
  if (n < to) scanRest(u, width, ratios, bits, n, to, receptors);
}

/** The last, incomplete word. */
function scanRest(u: usize, width: usize, ratios: usize, bits: usize, from: i32, to: i32, receptors: i32): void {
  let word: u32 = 0;
  for (let n = from; n < to; n++) {
    const at = u + (<usize>n << 2);
    let v = load<f32>(at);
    for (let r = 1; r <= receptors; r++) v += load<f32>(ratios + (<usize>r << 2)) * load<f32>(at + <usize>r * width);
    if (v > load<f32>(ratios)) word |= (<u32>1) << (n - from);
  }
  store<u32>(bits + (<usize>(from >> 5) << 2), word);
}

function bringForward(u: usize, width: usize, decays: usize, from: i32, to: i32, receptors: i32): void {
  const silent = f32x4.splat(SILENT);
  for (let r = 0; r <= receptors; r++) {
    const row = u + <usize>r * width;
    const decay = v128.load32_splat(decays + (<usize>r << 2));
    let n = from;
    for (; n + 4 <= to; n += 4) {
      const at = row + (<usize>n << 2);
      const next = f32x4.mul(decay, v128.load(at));
      v128.store(at, v128.and(next, f32x4.ge(f32x4.abs(next), silent)));
    }
    for (; n < to; n++) {
      const at = row + (<usize>n << 2);
      const next = load<f32>(decays + (<usize>r << 2)) * load<f32>(at);
      store<f32>(at, abs(next) >= SILENT ? next : 0);
    }
  }
}

/**
 * Sparse synapses onto such neurons: a spike adds to its receptor and takes as much from u, for v itself does not jump.
 * args: spikeIndex, spikeIds, rowStart, columns, weights, gains, state, batch, posts, receptors, receptor, period, slots, delay, origin, parts
 */
export function cubaLifScatter(args: usize, step: i32, thread: i32, threads: i32): void {
  const rowStart = load<u32>(args, 8);
  const columns = load<u32>(args, 12);
  const weights = load<u32>(args, 16);
  const batch = load<i32>(args, 28);
  const posts = load<i32>(args, 32);
  const receptors = load<i32>(args, 36);
  const origin = load<i32>(args, 56);
  const slot = arrivingSlot(step, origin, load<i32>(args, 52), load<i32>(args, 48));
  if (slot < 0) return;
  const gains = load<u32>(args, 20) + (<usize>((step - origin) % load<i32>(args, 44)) << 3);
  const toReceptor = load<f32>(gains);
  const toMembrane = load<f32>(gains, 4);
  const width = <usize>posts << 2;
  const receptor = <usize>(load<i32>(args, 40) + 1) * width;
  const split = batch < threads;
  const parts = load<i32>(args, 60);
  const from = <u32>neuronBegin(batch, posts, 32, thread, threads);
  const to = <u32>neuronEnd(batch, posts, 32, thread, threads);
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const pair = load<u32>(args) + (<usize>(slot * batch + b) << 3);
    let id = load<u32>(args, 4) + (<usize>load<u32>(pair) << 2);
    const last = id + (<usize>load<u32>(pair, 4) << 2);
    const u = load<u32>(args, 24) + <usize>b * width * <usize>(receptors + 1);
    const g = u + receptor;
    for (; id < last; id += 4) {
      const row = rowStart + ((<usize>load<u32>(id) * <usize>parts) << 2);
      let column = partBegin(row, columns, parts, split, thread, threads, from);
      const end = partEnd(row, columns, parts, split, thread, threads, to);
      let weight = weights + (column - columns);
      for (; column + 8 <= end; column += 8) {
        deliver(u, g, column, weight, toReceptor, toMembrane);
        deliver(u, g, column + 4, weight + 4, toReceptor, toMembrane);
        weight += 8;
      }
      if (column < end) deliver(u, g, column, weight, toReceptor, toMembrane);
    }
  }
}

// @ts-ignore: decorator
@inline
function deliver(u: usize, g: usize, column: usize, weight: usize, toReceptor: f32, toMembrane: f32): void {
  const post = <usize>load<u32>(column) << 2;
  const w = load<f32>(weight);
  store<f32>(g + post, load<f32>(g + post) + w * toReceptor);
  store<f32>(u + post, load<f32>(u + post) + w * toMembrane);
}

/**
 * The membrane potential as of the end of the step, for recording.
 * args: state, decays, v, batch, neurons, receptors, period, origin, leak, reset
 */
export function cubaLifPotential(args: usize, step: i32, thread: i32, threads: i32): void {
  const batch = load<i32>(args, 12);
  const neurons = load<i32>(args, 16);
  const receptors = load<i32>(args, 20);
  const period = load<i32>(args, 24);
  const leak = load<f32>(args, 32);
  const reset = load<f32>(args, 36);
  // After the last step of a period the state stands at the start of the next one.
  const phase = (step - load<i32>(args, 28) + 1) % period;
  const decays = load<u32>(args, 4) + <usize>phase * (<usize>(receptors + 1) << 3);
  const from = neuronBegin(batch, neurons, 32, thread, threads);
  const to = neuronEnd(batch, neurons, 32, thread, threads);
  const width = <usize>neurons << 2;
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const u = load<u32>(args) + <usize>b * width * <usize>(receptors + 1);
    const v = load<u32>(args, 8) + <usize>b * width;
    for (let n = from; n < to; n++) {
      const at = u + (<usize>n << 2);
      let sum = load<f32>(decays) * load<f32>(at);
      for (let r = 1; r <= receptors; r++) sum += load<f32>(decays + (<usize>r << 2)) * load<f32>(at + <usize>r * width);
      store<f32>(v + (<usize>n << 2), leak + (load<f32>(at) <= HELD * 1e-12 ? reset : sum));
    }
  }
}
