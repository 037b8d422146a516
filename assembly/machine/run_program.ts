// The synapse machine as software: an axon's rows one after another, SPU by SPU, then the merge of all partial sums, then the neurons, then
// the delivery of spikes. With enough samples each thread runs its own; else all threads run every sample together: SPUs, ranges
// of neurons and ports are divided among them, with a barrier between the phases.
import { barrier } from '../commands';

// Header of a program (host/snn/machine/program-file.ts), in bytes.
const SPUS: usize = 16;
const PORTS: usize = 20;
const LANES: usize = 24;
const ACCUMULATOR_BITS: usize = 68;
const POTENTIAL_BITS: usize = 72;
const STRETCH: usize = 76;
const MAX_SKEW: usize = 80;
const NEURONS: usize = 84;
const AXONS: usize = 88;
const CLASSES_AT: usize = 108;
const NEURONS_AT: usize = 112;
const FAN_OUT_AT: usize = 116;
const AXON_DELAY_AT: usize = 120;
const SPUS_AT: usize = 128;
// Of an SPU's entry there.
const EMISSION_AT: usize = 20;
const SPU_BYTES: usize = 24;
const CLASS_BYTES: usize = 24;

// Head of the tables (host/kernels/machine/program_tables.ts), in bytes.
const TARGET_START_AT: usize = 0;
const TARGETS_AT: usize = 4;
const REACH_AT: usize = 8;
const MERGE_AT: usize = 12;
const QUEUE_DEPTH: usize = 16;
const DELAY_SLOTS: usize = 20;
const SUMS_AT: usize = 28;
const POTENTIALS_AT: usize = 32;
const REFRACTORY_AT: usize = 36;
const FIRED_AT: usize = 40;
const QUEUE_COUNT_AT: usize = 44;
const QUEUE_AT: usize = 48;
const RUN_END_AT: usize = 56;

// Head of a sample's scratch, in bytes: the barrier's words, the status, then for every thread how many of its neurons fired.
const STATUS: usize = 32;
const FIRED_COUNTS: usize = 64;

const OVERFLOW: i32 = 1;
const QUEUE_FULL: i32 = 2;
const BAD_WORD: i32 = 4;
const OUTPUT_CUT: i32 = 8;
const END_WORDS: i32 = 4;
const LAST: u32 = 1 << 29;
const PAIR: u32 = 1 << 28;
const STEP_MASK: u32 = 0x3fff;

// Per thread, for the call or the sample that it is at.
let program: usize = 0;
let targetStart: usize = 0;
let targets: usize = 0;
let reachOf: usize = 0;
let tables: usize = 0;
let scratch: usize = 0;
let firstSpu: u32 = 0;
let endSpu: u32 = 0;
/** Bits of the status that this thread has found. */
let status: i32 = 0;
let operations: u32 = 0;
/** Most that any partial sum can have become in this step, in magnitude. */
let reach: u64 = 0;
let limit: u64 = 0;
let unusedBits: i32 = 0;
/** A bit per SPU that has partial sums in this step. */
let touched: u64 = 0;
let put: usize = 0;
let putEnd: usize = 0;

/** args: program, tables, inputs, inputStart, outputs, state, batch, steps, outputWords, readFirst, readCount, everyStep, stateWords */
export function runProgram(args: usize, step: i32, thread: i32, threads: i32): void {
  program = load<u32>(args);
  tables = load<u32>(args, 4);
  const inputs = load<u32>(args, 8);
  const inputStart = load<u32>(args, 12);
  const outputs = load<u32>(args, 16);
  const state = load<u32>(args, 20);
  const batch = load<i32>(args, 24);
  const steps = load<i32>(args, 28);
  const outputWords = load<i32>(args, 32);
  const stateBytes = <usize>load<u32>(args, 48) << 2;
  if (outputWords < END_WORDS) return;
  targetStart = tables + (<usize>load<u32>(tables, TARGET_START_AT) << 2);
  targets = tables + (<usize>load<u32>(tables, TARGETS_AT) << 2);
  reachOf = tables + (<usize>load<u32>(tables, REACH_AT) << 2);
  const accumulatorBits = load<i32>(program, ACCUMULATOR_BITS);
  unusedBits = 32 - accumulatorBits;
  limit = (<u64>1 << (accumulatorBits - 1)) - 1;
  const spus = load<u32>(program, SPUS);
  const together = batch < threads && spus > 1;
  firstSpu = together ? (spus * thread) / threads : 0;
  endSpu = together ? (spus * (thread + 1)) / threads : spus;
  const from = together ? 0 : <i32>((<i64>batch * thread) / threads);
  const to = together ? batch : <i32>((<i64>batch * (thread + 1)) / threads);
  for (let b = from; b < to; b++) {
    // A thread by itself uses one scratch for all its samples, which stays in its cache.
    scratch = state + <usize>(together ? b : from) * stateBytes;
    put = outputs + ((<usize>b * <usize>outputWords) << 2);
    const region = put;
    putEnd = put + (<usize>(outputWords - END_WORDS) << 2);
    const word = inputStart + (<usize>b << 2);
    const first = inputs + (<usize>load<u32>(word) << 2);
    const last = inputs + (<usize>load<u32>(word, 4) << 2);
    const tag = first < last ? (load<u32>(first) >>> 14) & 0xffff : 0;
    const internal = runSample(first, last, steps, args, together ? thread : 0, together ? threads : 1);
    if (!together || thread == 0) {
      const said = together ? load<i32>(scratch, STATUS) : status;
      store<u32>(put, (2 << 30) | (said << 16) | tag);
      store<u32>(put, 0, 4);
      store<u32>(put, operations, 8);
      store<u32>(put, internal, 12);
      put += 4 * END_WORDS;
      memory.fill(put, 0, region + (<usize>outputWords << 2) - put);
      if (together || b + 1 == to) memory.fill(scratch, 0, stateBytes);
    }
  }
}

/** Returns how many spikes there were. */
function runSample(first: usize, last: usize, steps: i32, args: usize, thread: i32, threads: i32): u32 {
  const together = threads > 1;
  const ports = load<u32>(program, PORTS);
  const neurons = load<i32>(program, NEURONS);
  const slots = load<u32>(tables, DELAY_SLOTS);
  const depth = load<u32>(tables, QUEUE_DEPTH);
  const stretch = load<i32>(program, STRETCH);
  const total = steps == 0 ? 0 : stretch * (steps - 1) + load<i32>(program, MAX_SKEW) + 1;
  const everyStep = load<u32>(args, 44) != 0;
  const counts = scratch + (<usize>load<u32>(tables, QUEUE_COUNT_AT) << 2);
  const queues = scratch + (<usize>load<u32>(tables, QUEUE_AT) << 2);
  // Emission words are of 32 groups, and no two threads share one.
  const unit = 32 * load<i32>(program, LANES);
  const units = (neurons + unit - 1) / unit;
  const from = (units * thread) / threads * unit;
  const to = min(neurons, (units * (thread + 1)) / threads * unit);
  status = 0;
  operations = 0;
  let internal: u32 = 0;
  if (first >= last || load<u32>(first) >>> 30 != 2 || (load<u32>(first) & STEP_MASK) != <u32>steps) status |= BAD_WORD;
  let word = min(first + 4, last);
  let slot: u32 = 0;
  for (let step = 0; step < total; step++) {
    reach = 0;
    touched = 0;
    word = addInputs(word, last);
    for (let port: u32 = 0; port < ports; port++) {
      const queue = port * slots + slot;
      let at = queues + ((<usize>queue * <usize>depth) << 2);
      const end = at + (<usize>load<u32>(counts + (<usize>queue << 2)) << 2);
      for (; at < end; at += 4) addAxon(load<u32>(at));
    }
    if (together) barrier(scratch, threads);
    merge(from, to);
    const fired = updateNeurons(step, steps, from, to);
    if (together) {
      store<i32>(scratch + FIRED_COUNTS + (<usize>thread << 2), fired);
      barrier(scratch, threads);
    }
    for (let port = <u32>thread; port < ports; port += <u32>threads) store<u32>(counts + (<usize>(port * slots + slot) << 2), 0);
    for (let t = 0; t < threads; t++) {
      const segment = (units * t) / threads * unit;
      const count = together ? load<i32>(scratch + FIRED_COUNTS + (<usize>t << 2)) : fired;
      internal += count;
      deliver(step, slot, segment, count, thread, threads);
    }
    if (everyStep && thread == 0) putPotentials(step, args);
    if (together) barrier(scratch, threads);
    slot = slot + 1 == slots ? 0 : slot + 1;
  }
  if (thread == 0) putPotentials(total - 1, args);
  if (word < last) status |= BAD_WORD;
  if (together) {
    atomic.or<i32>(scratch, status, STATUS);
    barrier(scratch, threads);
    // The scratch is cleared after it: a thread that is slow to leave the last barrier must not find what it waits to see change.
    if (total == 0) barrier(scratch, threads);
  } else memory.fill(counts, 0, <usize>(ports * slots) << 2);
  return internal;
}

/** Takes the words of one machine step; returns where the next one's begin. */
function addInputs(word: usize, last: usize): usize {
  const axons = load<u32>(program, AXONS);
  while (word < last) {
    const w = load<u32>(word);
    word += 4;
    const kind = w >>> 30;
    if (kind == 1) return word;
    if (kind != 0) {
      status |= BAD_WORD;
      continue;
    }
    if (w & PAIR) {
      addKnownAxon(w & 0x3fff, axons);
      addKnownAxon((w >>> 14) & 0x3fff, axons);
    } else addKnownAxon(w & 0xfffff, axons);
    if (w & LAST) return word;
  }
  status |= BAD_WORD;
  return word;
}

// @ts-ignore: decorator
@inline
function addKnownAxon(axon: u32, axons: u32): void {
  if (axon < axons) addAxon(axon);
  else status |= BAD_WORD;
}

/** Executes an axon's rows at this thread's SPUs. */
function addAxon(axon: u32): void {
  const start = targetStart + (<usize>axon << 2);
  let target = targets + (<usize>load<u32>(start) << 4);
  const end = targets + (<usize>load<u32>(start, 4) << 4);
  reach += load<u32>(reachOf + (<usize>axon << 2));
  // As long as no sum can have left its width none has to be looked at.
  const safe = reach <= limit;
  const low = firstSpu;
  const high = endSpu;
  for (; target < end; target += 16) {
    const rest = load<u32>(target, 12);
    const count = rest & 0xfff;
    const spu = (rest >>> 12) & 63;
    operations += count;
    touched |= <u64>1 << spu;
    if (spu < low || spu >= high) continue;
    const operation = program + (<usize>load<u32>(target) << 2);
    const weights = program + (<usize>load<u32>(target, 4) << 2);
    const sums = scratch + (<usize>load<u32>(target, 8) << 2);
    if (safe) addRow(operation, operation + (<usize>count << 2), weights, sums, rest >>> 27);
    else addRowChecked(operation, operation + (<usize>count << 2), weights, sums, rest >>> 27);
  }
}

// @ts-ignore: decorator
@inline
function add(operation: u32, weights: usize, sums: usize, shift: u32): void {
  const sum = sums + ((operation & 0xffff) << 2);
  store<i32>(sum, load<i32>(sum) + (load<i32>(weights + ((operation >>> 14) & 0x3fffc)) << shift));
}

function addRow(at: usize, end: usize, weights: usize, sums: usize, shift: u32): void {
  for (; at + 16 <= end; at += 16) {
    add(load<u32>(at), weights, sums, shift);
    add(load<u32>(at, 4), weights, sums, shift);
    add(load<u32>(at, 8), weights, sums, shift);
    add(load<u32>(at, 12), weights, sums, shift);
  }
  for (; at < end; at += 4) add(load<u32>(at), weights, sums, shift);
}

function addRowChecked(at: usize, end: usize, weights: usize, sums: usize, shift: u32): void {
  const unused = unusedBits;
  let lost = 0;
  for (; at < end; at += 4) {
    const operation = load<u32>(at);
    const sum = sums + ((operation & 0xffff) << 2);
    const exact = load<i32>(sum) + (load<i32>(weights + ((operation >>> 14) & 0x3fffc)) << shift);
    const kept = (exact << unused) >> unused;
    lost |= kept ^ exact;
    store<i32>(sum, kept);
  }
  if (lost) status |= OVERFLOW;
}

/** Sums of the neurons in [from, to), whose partial sums are cleared. */
function merge(from: i32, to: i32): void {
  const sums = scratch + (<usize>load<u32>(tables, SUMS_AT) << 2);
  memory.fill(sums + (<usize>from << 2), 0, <usize>(to - from) << 2);
  const spus = load<i32>(program, SPUS);
  const lanes = load<i32>(program, LANES);
  const words = (load<i32>(program, NEURONS) / lanes + 31) >>> 5;
  const unit = 32 * lanes;
  const table = program + (<usize>load<u32>(program, SPUS_AT) << 2);
  const places = tables + (<usize>load<u32>(tables, MERGE_AT) << 2);
  // Sums of all SPUs may be wider than 32 bits.
  if (min(reach, limit + 1) * <u64>spus > 0x7fffffff) {
    mergeWide(from, to, sums, spus, lanes, words, table, places);
    return;
  }
  const laneBytes = <usize>lanes << 2;
  const firstWord = from / unit;
  const endWord = (to + unit - 1) / unit;
  for (let p = 0; p < spus; p++) {
    if (!((touched >>> p) & 1)) continue;
    const emission = program + (<usize>load<u32>(table + <usize>p * SPU_BYTES, EMISSION_AT) << 2);
    const place = places + ((<usize>p * <usize>words) << 2);
    for (let w = firstWord; w < endWord; w++) {
      let bits = load<u32>(emission + (<usize>w << 2));
      let partial = scratch + (<usize>load<u32>(place + (<usize>w << 2)) << 2);
      const sum = sums + <usize>w * <usize>32 * laneBytes;
      while (bits) {
        // Neighbouring groups at once.
        const skip = ctz(bits);
        const run = ctz(~(bits >>> skip));
        addAll(sum + <usize>skip * laneBytes, partial, <usize>run * laneBytes);
        partial += <usize>run * laneBytes;
        bits = skip + run > 31 ? 0 : bits & (0xffffffff << (skip + run));
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function addAll(sum: usize, partial: usize, bytes: usize): void {
  const end = sum + bytes;
  for (; sum + 16 <= end; sum += 16) {
    v128.store(sum, i32x4.add(v128.load(sum), v128.load(partial)));
    v128.store(partial, i32x4.splat(0));
    partial += 16;
  }
  for (; sum < end; sum += 4) {
    store<i32>(sum, load<i32>(sum) + load<i32>(partial));
    store<i32>(partial, 0);
    partial += 4;
  }
}

/** Sums that may be wider than 32 bits; they are cut to the width of a potential here. */
function mergeWide(from: i32, to: i32, sums: usize, spus: i32, lanes: i32, words: i32, table: usize, places: usize): void {
  const unused: i64 = 64 - <i64>load<i32>(program, POTENTIAL_BITS);
  for (let n = from; n < to; n++) {
    const group = n / lanes;
    const word = group >>> 5;
    const bit = group & 31;
    let sum: i64 = 0;
    for (let p = 0; p < spus; p++) {
      if (!((touched >>> p) & 1)) continue;
      const emission = program + (<usize>load<u32>(table + <usize>p * SPU_BYTES, EMISSION_AT) << 2);
      const bits = load<u32>(emission + (<usize>word << 2));
      if (!((bits >>> bit) & 1)) continue;
      const before = popcnt(bits & ((1 << bit) - 1));
      const place = load<u32>(places + ((<usize>p * <usize>words + <usize>word) << 2));
      const partial = scratch + (<usize>(place + before * lanes + (n - group * lanes)) << 2);
      sum += load<i32>(partial);
      store<i32>(partial, 0);
    }
    const kept = (sum << unused) >> unused;
    if (kept != sum) status |= OVERFLOW;
    store<i32>(sums + (<usize>n << 2), <i32>kept);
  }
}

/** Neurons [from, to), of which `from` and `to` begin groups. Ids of those that fire go to the list that begins at `from`; returns how many do. */
function updateNeurons(step: i32, steps: i32, from: i32, to: i32): i32 {
  const words = program + (<usize>load<u32>(program, NEURONS_AT) << 2);
  const classes = program + (<usize>load<u32>(program, CLASSES_AT) << 2);
  const sums = scratch + (<usize>load<u32>(tables, SUMS_AT) << 2);
  const potentials = scratch + (<usize>load<u32>(tables, POTENTIALS_AT) << 2);
  const times = scratch + (<usize>load<u32>(tables, REFRACTORY_AT) << 2);
  const runEnds = tables + (<usize>load<u32>(tables, RUN_END_AT) << 2);
  const list = scratch + ((<usize>load<u32>(tables, FIRED_AT) + <usize>from) << 2);
  const stretch = load<i32>(program, STRETCH);
  const unused = 32 - load<i32>(program, POTENTIAL_BITS);
  let fired = list;
  let lost = 0;
  let lostAll = i32x4.splat(0);
  for (let n = from; n < to;) {
    const kind = load<u32>(words + (<usize>n << 2)) >>> 26;
    // Neurons of one class are neighbours nearly always.
    const end = min(to, load<i32>(runEnds + (<usize>n << 2)));
    const c = classes + <usize>kind * CLASS_BYTES;
    const since = step - load<i32>(c, 20);
    if (since < 0 || since % stretch != 0 || since / stretch >= steps) {
      for (; n < end; n++) {
        const sum = load<i32>(sums + (<usize>n << 2));
        lost |= ((sum << unused) >> unused) ^ sum;
      }
      continue;
    }
    const threshold = load<i32>(c);
    const resetValue = (load<i32>(c, 4) << unused) >> unused;
    const flags = load<u32>(c, 12);
    const leakShift = flags & 31;
    // 31 leaves the sign, which a leak of no shift must not.
    const leaks = leakShift > 0 ? -1 : 0;
    const spiking = (flags & 0x100) != 0;
    const subtract = (flags & 0x200) != 0;
    const refractorySteps = min<u32>(load<u32>(c, 16), STEP_MASK);
    if (since == 0) {
      const initial = (load<i32>(c, 8) << unused) >> unused;
      for (let k = n; k < end; k++) {
        store<i32>(potentials + (<usize>k << 2), initial);
        store<i32>(times + (<usize>k << 2), 0);
      }
    }
    const level = i32x4.splat(threshold);
    const leaksAll = i32x4.splat(leaks);
    const spikingAll = i32x4.splat(spiking ? -1 : 0);
    const zero = i32x4.splat(0);
    for (; n + 4 <= end; n += 4) {
      const offset = <usize>n << 2;
      const merged = v128.load(sums + offset);
      const sum = i32x4.shr_s(i32x4.shl(merged, unused), unused);
      const before = v128.load(potentials + offset);
      const time = v128.load(times + offset);
      const held = i32x4.gt_s(time, zero);
      const bias = i32x4.shr_s(i32x4.shl(v128.load(words + offset), 6), 6);
      const leak = v128.and(i32x4.shr_s(before, leakShift), leaksAll);
      const exact = i32x4.add(i32x4.sub(before, leak), i32x4.add(sum, bias));
      const next = i32x4.shr_s(i32x4.shl(exact, unused), unused);
      lostAll = v128.or(lostAll, v128.or(v128.xor(sum, merged), v128.andnot(v128.xor(next, exact), held)));
      v128.store(potentials + offset, v128.bitselect(before, next, held));
      v128.store(times + offset, i32x4.add(time, held));
      let fires = i32x4.bitmask(v128.and(v128.andnot(i32x4.ge_s(next, level), held), spikingAll));
      while (fires) {
        const k = n + ctz(fires);
        fires &= fires - 1;
        const at = potentials + (<usize>k << 2);
        lost |= reset(at, load<i32>(at), threshold, resetValue, subtract, unused);
        store<u32>(times + (<usize>k << 2), refractorySteps);
        store<u32>(fired, k);
        fired += 4;
      }
    }
    for (; n < end; n++) {
      const offset = <usize>n << 2;
      const merged = load<i32>(sums + offset);
      const sum = (merged << unused) >> unused;
      lost |= sum ^ merged;
      const time = load<i32>(times + offset);
      if (time > 0) {
        store<i32>(times + offset, time - 1);
        continue;
      }
      const at = potentials + offset;
      const before = load<i32>(at);
      const exact = before - ((before >> leakShift) & leaks) + sum + ((load<i32>(words + offset) << 6) >> 6);
      const next = (exact << unused) >> unused;
      lost |= next ^ exact;
      store<i32>(at, next);
      if (!spiking || next < threshold) continue;
      lost |= reset(at, next, threshold, resetValue, subtract, unused);
      store<u32>(times + offset, refractorySteps);
      store<u32>(fired, n);
      fired += 4;
    }
  }
  if (lost != 0 || v128.any_true(lostAll)) status |= OVERFLOW;
  return <i32>((fired - list) >>> 2);
}

/** Returns other than 0 when the potential left its width. */
// @ts-ignore: decorator
@inline
function reset(at: usize, next: i32, threshold: i32, resetValue: i32, subtract: bool, unused: i32): i32 {
  if (!subtract) {
    store<i32>(at, resetValue);
    return 0;
  }
  // At least 0, and below 2^32.
  const exact = <u32>(next - threshold);
  const kept = (<i32>exact << unused) >> unused;
  store<i32>(at, kept);
  return kept < 0 ? 1 : <i32>(<u32>kept ^ exact);
}

/** Puts recorded spikes out, and axons into the queues of this thread's ports. */
function deliver(step: i32, slot: u32, segment: i32, count: i32, thread: i32, threads: i32): void {
  const words = program + (<usize>load<u32>(program, NEURONS_AT) << 2);
  const classes = program + (<usize>load<u32>(program, CLASSES_AT) << 2);
  const fanOuts = program + (<usize>load<u32>(program, FAN_OUT_AT) << 2);
  const delays = program + (<usize>load<u32>(program, AXON_DELAY_AT) << 2);
  const counts = scratch + (<usize>load<u32>(tables, QUEUE_COUNT_AT) << 2);
  const queues = scratch + (<usize>load<u32>(tables, QUEUE_AT) << 2);
  const ports = load<u32>(program, PORTS);
  const slots = load<u32>(tables, DELAY_SLOTS);
  const room = load<u32>(tables, QUEUE_DEPTH);
  let at = scratch + ((<usize>load<u32>(tables, FIRED_AT) + <usize>segment) << 2);
  const end = at + (<usize>count << 2);
  for (; at < end; at += 4) {
    const n = load<u32>(at);
    if (thread == 0) {
      const c = classes + <usize>(load<u32>(words + (<usize>n << 2)) >>> 26) * CLASS_BYTES;
      if (load<u32>(c, 12) & 0x400) putWord((<u32>step << 16) | n);
    }
    const fanOut = load<u32>(fanOuts + (<usize>n << 2));
    const endAxon = (fanOut >>> 12) + (fanOut & 0xfff);
    for (let axon = fanOut >>> 12; axon < endAxon; axon++) {
      const port = axon & (ports - 1);
      if (threads > 1 && port % threads != thread) continue;
      let due = slot + load<u32>(delays + (<usize>axon << 2));
      if (due >= slots) due -= slots;
      const queue = port * slots + due;
      const counter = counts + (<usize>queue << 2);
      const waiting = load<u32>(counter);
      if (waiting >= room) {
        status |= QUEUE_FULL;
        continue;
      }
      store<u32>(counter, waiting + 1);
      store<u32>(queues + ((<usize>queue * <usize>room + <usize>waiting) << 2), axon);
    }
  }
}

// @ts-ignore: decorator
@inline
function putWord(word: u32): void {
  if (put == putEnd) status |= OUTPUT_CUT;
  else {
    store<u32>(put, word);
    put += 4;
  }
}

function putPotentials(step: i32, args: usize): void {
  const words = program + (<usize>load<u32>(program, NEURONS_AT) << 2);
  const classes = program + (<usize>load<u32>(program, CLASSES_AT) << 2);
  const potentials = scratch + (<usize>load<u32>(tables, POTENTIALS_AT) << 2);
  const unused = 32 - load<i32>(program, POTENTIAL_BITS);
  const first = load<u32>(args, 36);
  const end = min<u64>(<u64>first + <u64>load<u32>(args, 40), load<u32>(program, NEURONS));
  for (let n: u64 = first; n < end; n++) {
    const c = classes + <usize>(load<u32>(words + (<usize>n << 2)) >>> 26) * CLASS_BYTES;
    const started = step >= load<i32>(c, 20);
    const v = started ? load<i32>(potentials + (<usize>n << 2)) : (load<i32>(c, 8) << unused) >> unused;
    putWord((1 << 30) | (v & 0x3fffffff));
  }
}
