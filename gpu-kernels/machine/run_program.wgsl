// The synapse machine on a GPU: a workgroup is a machine and runs one sample. Axons are taken in tiles; while no partial sum can leave its
// width, all operations of a tile are executed side by side (integer sums do not depend on the order), else each SPU is one
// invocation that executes its operations one after another. Lists keep the machine's order, by counting who comes before.
override WORKGROUP_SIZE: u32 = 128u;

struct Params {
  step: u32,
  batch: u32,
  steps: u32,
  outputWords: u32,
  readFirst: u32,
  readCount: u32,
  everyStep: u32,
  stateWords: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> program: array<u32>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> inputs: array<u32>;
@group(0) @binding(4) var<storage, read> inputStart: array<u32>;
@group(0) @binding(5) var<storage, read_write> outputs: array<u32>;
@group(0) @binding(6) var<storage, read_write> state: array<atomic<i32>>;

// Header of a program (host/snn/machine/program-file.ts).
const SPUS = 4u;
const PORTS = 5u;
const LANES = 6u;
const ACCUMULATOR_BITS = 17u;
const POTENTIAL_BITS = 18u;
const STRETCH = 19u;
const MAX_SKEW = 20u;
const NEURONS = 21u;
const AXONS = 22u;
const CLASSES_AT = 27u;
const NEURONS_AT = 28u;
const FAN_OUT_AT = 29u;
const AXON_DELAY_AT = 30u;
const ROUTING_AT = 31u;
const SPUS_AT = 32u;
// Of an SPU's entry there.
const ROWS_AT = 0u;
const OPERATIONS_AT = 1u;
const WEIGHTS_AT = 3u;
const EMISSION_AT = 5u;
const SPU_WORDS = 6u;
const CLASS_WORDS = 6u;

// Head of the tables (host/kernels/machine/program_tables.ts).
const TARGET_START_AT = 0u;
const TARGETS_AT = 1u;
const REACH_AT = 2u;
const MERGE_AT = 3u;
const QUEUE_DEPTH = 4u;
const DELAY_SLOTS = 5u;
const POTENTIALS_AT = 8u;
const REFRACTORY_AT = 9u;
const FIRED_AT = 10u;
const QUEUE_COUNT_AT = 11u;
const QUEUE_AT = 12u;

const OVERFLOW = 1u;
const QUEUE_FULL = 2u;
const BAD_WORD = 4u;
const OUTPUT_CUT = 8u;
const END_WORDS = 4u;
const LAST = 0x20000000u;
const PAIR = 0x10000000u;
const STEP_MASK = 0x3fffu;
// Invocations that execute one row together.
const TEAM = 16u;
// 32 bits per mask word; room for the largest workgroup there is.
const MASK_WORDS = 32u;
const FIRED = 0u;
const RECORDED = 32u;
const COUNT_BITS = 12u;

var<workgroup> status: atomic<u32>;
var<workgroup> operations: atomic<u32>;
// SPUs that have partial sums in this step.
var<workgroup> touched: array<atomic<u32>, 2>;
// Axons of a tile: firsts and seconds of its words, or just firsts.
var<workgroup> tile: array<u32, WORKGROUP_SIZE>;
var<workgroup> tileSeconds: array<u32, WORKGROUP_SIZE>;
var<workgroup> tileEnd: atomic<u32>;
var<workgroup> tileReach: atomic<u32>;
var<workgroup> tileShape: vec2u;
var<workgroup> queueLengths: array<u32, 8>;
var<workgroup> queueTotal: u32;
// A bit per neuron of a tile: those that fired, then those of them that are recorded.
var<workgroup> masks: array<atomic<u32>, 64>;
var<workgroup> firedTotal: u32;
// Bit k of the numbers of axons of the neurons of a tile.
var<workgroup> countMasks: array<atomic<u32>, 384>;
var<workgroup> starts: array<u32, WORKGROUP_SIZE>;
var<workgroup> firsts: array<u32, WORKGROUP_SIZE>;
var<workgroup> entries: u32;
var<workgroup> keys: array<u32, WORKGROUP_SIZE>;

var<private> scratch: u32;
var<private> region: u32;
// Words put out so far, cut ones included.
var<private> put: u32;
var<private> executed: u32;

fn allBarrier() {
  storageBarrier();
  workgroupBarrier();
}

fn say(bits: u32) {
  atomicOr(&status, bits);
}

fn narrow(value: i32, bits: u32) -> i32 {
  return (value << (32u - bits)) >> (32u - bits);
}

fn spuWord(spu: u32, field: u32) -> u32 {
  return program[program[SPUS_AT] + SPU_WORDS * spu + field];
}

fn putWord(place: u32, word: u32) {
  if (place < params.outputWords - END_WORDS) {
    outputs[region + place] = word;
  } else {
    say(OUTPUT_CUT);
  }
}

// Bits of a mask that are set: those of invocations before this one, and all.
fn maskedBefore(mask: u32, local: u32) -> u32 {
  var count = 0u;
  for (var w = 0u; w < local / 32u; w++) {
    count += countOneBits(atomicLoad(&masks[mask + w]));
  }
  return count + countOneBits(atomicLoad(&masks[mask + local / 32u]) & ((1u << (local % 32u)) - 1u));
}

fn maskedTotal(mask: u32) -> u32 {
  var count = 0u;
  for (var w = 0u; w < (WORKGROUP_SIZE + 31u) / 32u; w++) {
    count += countOneBits(atomicLoad(&masks[mask + w]));
  }
  return count;
}

// ---- synapses

// Most that an axon adds to a partial sum, in units in which a tile's sum fits 32 bits.
fn reachOf(axon: u32) -> u32 {
  let bits = program[ACCUMULATOR_BITS];
  let shift = select(0u, bits - 21u, bits > 21u);
  let most = min(tables[tables[REACH_AT] + axon], 1u << (bits - 1u));
  return (most + (1u << shift) - 1u) >> shift;
}

fn reachLimit() -> u32 {
  let bits = program[ACCUMULATOR_BITS];
  return ((1u << (bits - 1u)) - 1u) >> select(0u, bits - 21u, bits > 21u);
}

// Executes the rows of an axon, `TEAM` operations at a time.
fn addAxon(axon: u32, lane: u32) {
  let start = tables[TARGET_START_AT] + axon;
  for (var t = tables[start]; t < tables[start + 1u]; t++) {
    let entry = tables[TARGETS_AT] + 4u * t;
    let operationsAt = tables[entry];
    let weightsAt = tables[entry + 1u];
    let sums = scratch + tables[entry + 2u];
    let rest = tables[entry + 3u];
    let count = rest & 0xfffu;
    for (var k = lane; k < count; k += TEAM) {
      let operation = program[operationsAt + k];
      let weight = bitcast<i32>(program[weightsAt + (operation >> 16u)]);
      atomicAdd(&state[sums + (operation & 0xffffu)], weight << (rest >> 27u));
    }
    if (lane == 0u) {
      executed += count;
      let spu = extractBits(rest, 12u, 6u);
      atomicOr(&touched[spu / 32u], 1u << (spu % 32u));
    }
  }
}

// An SPU alone executes its row of an axon, and looks at every sum.
fn addRow(axon: u32, spu: u32) {
  let perPort = program[SPUS] / program[PORTS];
  if (axon % program[PORTS] != spu / perPort) {
    return;
  }
  let k = spu % perPort;
  let routing = program[program[ROUTING_AT] + axon * ((perPort + 31u) / 32u) + k / 32u];
  if (((routing >> (k % 32u)) & 1u) == 0u) {
    return;
  }
  let row = spuWord(spu, ROWS_AT) + 2u * (axon / program[PORTS]);
  let rest = program[row + 1u];
  let count = rest & 0xfffu;
  let emissionWords = (program[NEURONS] / program[LANES] + 31u) / 32u;
  let sums = scratch + tables[tables[MERGE_AT] + spu * emissionWords] + extractBits(rest, 12u, 15u);
  let operationsAt = spuWord(spu, OPERATIONS_AT) + program[row];
  let weightsAt = spuWord(spu, WEIGHTS_AT);
  let bits = program[ACCUMULATOR_BITS];
  for (var i = 0u; i < count; i++) {
    let operation = program[operationsAt + i];
    let weight = bitcast<i32>(program[weightsAt + (operation >> 16u)]);
    let at = sums + (operation & 0xffffu);
    let exact = atomicLoad(&state[at]) + (weight << (rest >> 27u));
    let kept = narrow(exact, bits);
    if (kept != exact) {
      say(OVERFLOW);
    }
    atomicStore(&state[at], kept);
  }
  executed += count;
  atomicOr(&touched[spu / 32u], 1u << (spu % 32u));
}

// Executes the axons of a tile. A word's first axon comes before its second; where there is none stands a number beyond all axons.
fn addTile(firstCount: u32, secondCount: u32, inParallel: bool, local: u32) {
  let axons = program[AXONS];
  if (inParallel) {
    for (var i = local / TEAM; i < firstCount + secondCount; i += WORKGROUP_SIZE / TEAM) {
      var axon = 0u;
      if (i < firstCount) {
        axon = tile[i];
      } else {
        axon = tileSeconds[i - firstCount];
      }
      if (axon < axons) {
        addAxon(axon, local % TEAM);
      }
    }
    return;
  }
  for (var spu = local; spu < program[SPUS]; spu += WORKGROUP_SIZE) {
    for (var i = 0u; i < firstCount; i++) {
      if (tile[i] < axons) {
        addRow(tile[i], spu);
      }
      if (i < secondCount && tileSeconds[i] < axons) {
        addRow(tileSeconds[i], spu);
      }
    }
  }
}

// The words from `at` on, up to the step's last, become the axons of a tile. Returns the first axon of this invocation's word.
fn fillFromInputs(at: u32, last: u32, local: u32) -> u32 {
  let axons = program[AXONS];
  var word = 0u;
  let there = at + local < last;
  if (there) {
    word = inputs[at + local];
    let kind = word >> 30u;
    if (kind == 1u || (kind == 0u && (word & LAST) != 0u)) {
      atomicMin(&tileEnd, local);
    }
  }
  workgroupBarrier();
  var axon0 = 0xffffffffu;
  var axon1 = 0xffffffffu;
  if (there && local <= atomicLoad(&tileEnd)) {
    let kind = word >> 30u;
    if (kind == 0u) {
      if ((word & PAIR) != 0u) {
        axon0 = word & 0x3fffu;
        axon1 = (word >> 14u) & 0x3fffu;
        if (axon1 >= axons) {
          axon1 = 0xffffffffu;
          say(BAD_WORD);
        }
      } else {
        axon0 = word & 0xfffffu;
      }
      if (axon0 >= axons) {
        axon0 = 0xffffffffu;
        say(BAD_WORD);
      }
    } else if (kind != 1u) {
      say(BAD_WORD);
    }
  }
  tile[local] = axon0;
  tileSeconds[local] = axon1;
  if (axon1 < axons) {
    atomicAdd(&tileReach, reachOf(axon1));
  }
  return axon0;
}

// Takes the axons of one machine step: those of its input words, then those that spikes left in the queues. Returns where the next
// step's words begin.
fn accumulate(start: u32, last: u32, slot: u32, local: u32) -> u32 {
  let ports = program[PORTS];
  let slots = tables[DELAY_SLOTS];
  let counts = scratch + tables[QUEUE_COUNT_AT];
  if (local == 0u) {
    var all = 0u;
    for (var port = 0u; port < ports; port++) {
      let length = u32(atomicLoad(&state[counts + port * slots + slot]));
      queueLengths[port] = length;
      all += length;
    }
    queueTotal = all;
  }
  let queued = workgroupUniformLoad(&queueTotal);
  var at = start;
  var base = 0u;
  var reached = 0u;
  var fromInputs = true;
  loop {
    if (local == 0u) {
      atomicStore(&tileEnd, WORKGROUP_SIZE);
      atomicStore(&tileReach, 0u);
    }
    workgroupBarrier();
    var axon = 0xffffffffu;
    if (fromInputs) {
      axon = fillFromInputs(at, last, local);
    } else if (base + local < queued) {
      var port = 0u;
      var i = base + local;
      while (i >= queueLengths[port]) {
        i -= queueLengths[port];
        port++;
      }
      let place = (port * slots + slot) * tables[QUEUE_DEPTH] + i;
      axon = u32(atomicLoad(&state[scratch + tables[QUEUE_AT] + place]));
      tile[local] = axon;
    }
    if (axon < program[AXONS]) {
      atomicAdd(&tileReach, reachOf(axon));
    }
    workgroupBarrier();
    if (local == 0u) {
      tileShape = vec2u(atomicLoad(&tileEnd), atomicLoad(&tileReach));
    }
    let shape = workgroupUniformLoad(&tileShape);
    reached = min(reached, 0x7fffffffu) + min(shape.y, 0x7fffffffu);
    var taken = min(queued - base, WORKGROUP_SIZE);
    if (fromInputs) {
      taken = min(min(shape.x + 1u, WORKGROUP_SIZE), last - at);
    }
    addTile(taken, select(0u, taken, fromInputs), reached <= reachLimit(), local);
    allBarrier();
    if (fromInputs) {
      at += taken;
      if (shape.x < WORKGROUP_SIZE) {
        fromInputs = false;
      } else if (at >= last) {
        fromInputs = false;
        if (local == 0u) {
          say(BAD_WORD);
        }
      }
    } else {
      base += taken;
    }
    if (!fromInputs && base >= queued) {
      break;
    }
  }
  if (local < ports) {
    atomicStore(&state[counts + local * slots + slot], 0);
  }
  return at;
}

// ---- merge and neurons

// Merged sum of a neuron, cut to a potential's width; the partial sums are cleared.
fn merged(n: u32) -> i32 {
  let lanes = program[LANES];
  let group = n / lanes;
  let emissionWords = (program[NEURONS] / lanes + 31u) / 32u;
  // Low 16 bits and the rest apart: sums of 64 SPUs may be wider than 32 bits.
  var low = 0u;
  var high = 0;
  for (var half = 0u; half < 2u; half++) {
    var spus = atomicLoad(&touched[half]);
    while (spus != 0u) {
      let spu = 32u * half + firstTrailingBit(spus);
      spus &= spus - 1u;
      let emission = program[spuWord(spu, EMISSION_AT) + group / 32u];
      if (((emission >> (group % 32u)) & 1u) == 0u) {
        continue;
      }
      let place = tables[tables[MERGE_AT] + spu * emissionWords + group / 32u];
      let row = countOneBits(emission & ((1u << (group % 32u)) - 1u));
      let at = scratch + place + row * lanes + n % lanes;
      let partial = atomicLoad(&state[at]);
      atomicStore(&state[at], 0);
      low += bitcast<u32>(partial) & 0xffffu;
      high += partial >> 16u;
    }
  }
  high += i32(low >> 16u);
  let kept = narrow((high << 16u) | i32(low & 0xffffu), program[POTENTIAL_BITS]);
  if ((kept >> 16u) != high || (bitcast<u32>(kept) & 0xffffu) != (low & 0xffffu)) {
    say(OVERFLOW);
  }
  return kept;
}

// Returns 0, 1 when the neuron fires, 3 when that is recorded.
fn updateNeuron(n: u32, step: u32) -> u32 {
  let sum = merged(n);
  let word = program[program[NEURONS_AT] + n];
  let c = program[CLASSES_AT] + CLASS_WORDS * (word >> 26u);
  let stretch = program[STRETCH];
  let skew = program[c + 5u];
  if (step < skew || (step - skew) % stretch != 0u || (step - skew) / stretch >= params.steps) {
    return 0u;
  }
  let bits = program[POTENTIAL_BITS];
  let flags = program[c + 3u];
  let at = scratch + tables[POTENTIALS_AT] + n;
  let timeAt = scratch + tables[REFRACTORY_AT] + n;
  var v = atomicLoad(&state[at]);
  var time = atomicLoad(&state[timeAt]);
  if (step == skew) {
    v = narrow(bitcast<i32>(program[c + 2u]), bits);
    time = 0;
    atomicStore(&state[at], v);
    atomicStore(&state[timeAt], 0);
  }
  if (time > 0) {
    atomicStore(&state[timeAt], time - 1);
    return 0u;
  }
  let leakShift = flags & 31u;
  let leak = select(0, v >> leakShift, leakShift > 0u);
  let bias = (bitcast<i32>(word) << 6u) >> 6u;
  let exact = v - leak + sum + bias;
  let next = narrow(exact, bits);
  if (next != exact) {
    say(OVERFLOW);
  }
  let threshold = bitcast<i32>(program[c]);
  if ((flags & 0x100u) == 0u || next < threshold) {
    atomicStore(&state[at], next);
    return 0u;
  }
  var after = narrow(bitcast<i32>(program[c + 1u]), bits);
  if ((flags & 0x200u) != 0u) {
    // At least 0, and below 2^32.
    let less = bitcast<u32>(next - threshold);
    after = narrow(bitcast<i32>(less), bits);
    if (after < 0 || u32(after) != less) {
      say(OVERFLOW);
    }
  }
  atomicStore(&state[at], after);
  atomicStore(&state[timeAt], i32(min(program[c + 4u], STEP_MASK)));
  return select(1u, 3u, (flags & 0x400u) != 0u);
}

// All neurons; their spikes are listed and put out. Returns how many there are.
fn updateNeurons(step: u32, local: u32) -> u32 {
  let neurons = program[NEURONS];
  var fired = 0u;
  for (var base = 0u; base < neurons; base += WORKGROUP_SIZE) {
    for (var w = local; w < 2u * MASK_WORDS; w += WORKGROUP_SIZE) {
      atomicStore(&masks[w], 0u);
    }
    workgroupBarrier();
    let n = base + local;
    var fires = 0u;
    if (n < neurons) {
      fires = updateNeuron(n, step);
    }
    if (fires != 0u) {
      atomicOr(&masks[FIRED + local / 32u], 1u << (local % 32u));
    }
    if (fires == 3u) {
      atomicOr(&masks[RECORDED + local / 32u], 1u << (local % 32u));
    }
    workgroupBarrier();
    if (fires != 0u) {
      atomicStore(&state[scratch + tables[FIRED_AT] + fired + maskedBefore(FIRED, local)], i32(n));
    }
    if (fires == 3u) {
      putWord(put + maskedBefore(RECORDED, local), (step << 16u) | n);
    }
    fired += maskedTotal(FIRED);
    put += maskedTotal(RECORDED);
    workgroupBarrier();
  }
  if (local == 0u) {
    firedTotal = fired;
  }
  allBarrier();
  return workgroupUniformLoad(&firedTotal);
}

// ---- fan-out

// Puts the axons of the neurons that fired into the queues, in order.
fn deliver(fired: u32, slot: u32, local: u32) {
  for (var base = 0u; base < fired; base += WORKGROUP_SIZE) {
    for (var i = local; i < COUNT_BITS * MASK_WORDS; i += WORKGROUP_SIZE) {
      atomicStore(&countMasks[i], 0u);
    }
    workgroupBarrier();
    var count = 0u;
    if (base + local < fired) {
      let n = u32(atomicLoad(&state[scratch + tables[FIRED_AT] + base + local]));
      let fanOut = program[program[FAN_OUT_AT] + n];
      count = fanOut & 0xfffu;
      firsts[local] = fanOut >> 12u;
      for (var rest = count; rest != 0u; rest &= rest - 1u) {
        atomicOr(&countMasks[firstTrailingBit(rest) * MASK_WORDS + local / 32u], 1u << (local % 32u));
      }
    }
    workgroupBarrier();
    var start = 0u;
    for (var bit = 0u; bit < COUNT_BITS; bit++) {
      var ones = 0u;
      for (var w = 0u; w < local / 32u; w++) {
        ones += countOneBits(atomicLoad(&countMasks[bit * MASK_WORDS + w]));
      }
      let word = atomicLoad(&countMasks[bit * MASK_WORDS + local / 32u]);
      ones += countOneBits(word & ((1u << (local % 32u)) - 1u));
      start += ones << bit;
    }
    starts[local] = start;
    if (local == WORKGROUP_SIZE - 1u) {
      entries = start + count;
    }
    let all = workgroupUniformLoad(&entries);
    for (var first = 0u; first < all; first += WORKGROUP_SIZE) {
      enqueue(first + local, min(WORKGROUP_SIZE, all - first), slot, local);
    }
  }
}

// In uniform control flow: entry `entry` of the list of all axons of a tile of neurons; of which `there` are dealt with side by side.
fn enqueue(entry: u32, there: u32, slot: u32, local: u32) {
  let slots = tables[DELAY_SLOTS];
  let depth = tables[QUEUE_DEPTH];
  var key = 0u;
  var axon = 0u;
  var held = 0u;
  let counts = scratch + tables[QUEUE_COUNT_AT];
  if (local < there) {
    // The last neuron that starts at or before this entry.
    var low = 0u;
    var high = WORKGROUP_SIZE;
    while (high - low > 1u) {
      let middle = (low + high) / 2u;
      if (starts[middle] <= entry) {
        low = middle;
      } else {
        high = middle;
      }
    }
    axon = firsts[low] + entry - starts[low];
    var due = slot + program[program[AXON_DELAY_AT] + axon];
    if (due >= slots) {
      due -= slots;
    }
    key = (axon % program[PORTS]) * slots + due;
    keys[local] = key;
    held = u32(atomicLoad(&state[counts + key]));
  }
  allBarrier();
  if (local < there) {
    var earlier = 0u;
    for (var i = 0u; i < local; i++) {
      earlier += select(0u, 1u, keys[i] == key);
    }
    var last = true;
    for (var i = local + 1u; i < there; i++) {
      last = last && keys[i] != key;
    }
    let place = held + earlier;
    if (place < depth) {
      atomicStore(&state[scratch + tables[QUEUE_AT] + key * depth + place], i32(axon));
    } else {
      say(QUEUE_FULL);
    }
    if (last) {
      atomicStore(&state[counts + key], i32(min(place + 1u, depth)));
    }
  }
  allBarrier();
}

fn putPotentials(step: i32, local: u32) {
  let neurons = program[NEURONS];
  let first = min(params.readFirst, neurons);
  let count = min(params.readCount, neurons - first);
  let bits = program[POTENTIAL_BITS];
  for (var i = local; i < count; i += WORKGROUP_SIZE) {
    let c = program[CLASSES_AT] + CLASS_WORDS * (program[program[NEURONS_AT] + first + i] >> 26u);
    var v = narrow(bitcast<i32>(program[c + 2u]), bits);
    if (step >= i32(program[c + 5u])) {
      v = atomicLoad(&state[scratch + tables[POTENTIALS_AT] + first + i]);
    }
    putWord(put + i, 0x40000000u | (bitcast<u32>(v) & 0x3fffffffu));
  }
  put += count;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn runProgram(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  if (params.outputWords < END_WORDS) {
    return;
  }
  let b = group.y;
  scratch = b * params.stateWords;
  region = b * params.outputWords;
  let first = inputStart[b];
  let last = inputStart[b + 1u];
  let steps = params.steps;
  var begin = 0u;
  if (first < last) {
    begin = inputs[first];
  }
  if (local == 0u && (first >= last || begin >> 30u != 2u || (begin & STEP_MASK) != steps)) {
    say(BAD_WORD);
  }
  var word = min(first + 1u, max(first, last));
  var machineSteps = 0u;
  if (steps > 0u) {
    machineSteps = program[STRETCH] * (steps - 1u) + program[MAX_SKEW] + 1u;
  }
  let slots = tables[DELAY_SLOTS];
  var slot = 0u;
  var spikes = 0u;
  for (var step = 0u; step <= machineSteps; step++) {
    // Once more for the potentials at the end.
    let over = step == machineSteps;
    if (!over) {
      if (local < 2u) {
        atomicStore(&touched[local], 0u);
      }
      workgroupBarrier();
      word = accumulate(word, last, slot, local);
      let fired = updateNeurons(step, local);
      spikes += fired;
      deliver(fired, slot, local);
      slot = select(slot + 1u, 0u, slot + 1u == slots);
    }
    if (over || params.everyStep != 0u) {
      putPotentials(i32(step) - select(0, 1, over), local);
    }
  }
  if (local == 0u && word < last) {
    say(BAD_WORD);
  }
  atomicAdd(&operations, executed);
  allBarrier();
  let at = min(put, params.outputWords - END_WORDS);
  if (local == 0u) {
    outputs[region + at] = 0x80000000u | (atomicLoad(&status) << 16u) | ((begin >> 14u) & 0xffffu);
    outputs[region + at + 1u] = 0u;
    outputs[region + at + 2u] = atomicLoad(&operations);
    outputs[region + at + 3u] = spikes;
  }
  for (var i = at + END_WORDS + local; i < params.outputWords; i += WORKGROUP_SIZE) {
    outputs[region + i] = 0u;
  }
  for (var i = local; i < params.stateWords; i += WORKGROUP_SIZE) {
    atomicStore(&state[scratch + i], 0);
  }
}
