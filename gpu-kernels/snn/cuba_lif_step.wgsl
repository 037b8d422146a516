// A step of LIF neurons with exponential synapses in decay-free form; one invocation per neuron. Contract: docs/kernels.md.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  neurons: u32,
  receptors: u32,
  period: u32,
  slots: u32,
  refractory: u32,
  origin: i32,
  reset: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> state: array<f32>;
@group(0) @binding(2) var<storage, read> decays: array<f32>;
@group(0) @binding(3) var<storage, read> spikeIndex: array<u32>;
@group(0) @binding(4) var<storage, read> spikeIds: array<u32>;
@group(0) @binding(5) var<storage, read_write> spikeBits: array<u32>;

const HELD = -1e30;
const SILENT = 1e-25;

var<workgroup> words: array<atomic<u32>, 32>;

// Whether n is in an ascending list.
fn listed(n: u32, start: u32, end: u32) -> bool {
  var low = start;
  var high = end;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (spikeIds[middle] < n) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  return low < end && spikeIds[low] == n;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn cubaLifStep(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
) {
  if (local < 32u) {
    atomicStore(&words[local], 0u);
  }
  workgroupBarrier();
  let n = id.x;
  let b = group.y;
  let neurons = params.neurons;
  let t = i32(params.step) - params.origin;
  let phase = u32(t) % params.period;
  let row = 2u * (phase + 1u) * (params.receptors + 1u);
  let ratios = row + params.receptors + 1u;
  if (n < neurons) {
    let u = b * (params.receptors + 1u) * neurons + n;
    var input = 0.0;
    var lifted = state[u];
    for (var r = 1u; r <= params.receptors; r++) {
      input += decays[row + r] * state[u + r * neurons];
      lifted += decays[ratios + r] * state[u + r * neurons];
    }
    let fired = lifted > decays[ratios];
    if (fired) {
      atomicOr(&words[local / 32u], 1u << (local & 31u));
      if (params.refractory > 0u) {
        state[u] = HELD;
      }
    }
    var restart = fired && params.refractory == 0u;
    if (params.refractory > 0u && t >= i32(params.refractory)) {
      let pair = 2u * (((u32(t) - params.refractory) % params.slots) * params.batch + b);
      restart = listed(n, spikeIndex[pair], spikeIndex[pair] + spikeIndex[pair + 1u]);
    }
    if (restart) {
      state[u] = (params.reset - input) / decays[row];
    }
    if (phase == params.period - 1u) {
      for (var r = 0u; r <= params.receptors; r++) {
        let next = decays[row + r] * state[u + r * neurons];
        state[u + r * neurons] = select(0.0, next, abs(next) >= SILENT);
      }
    }
  }
  workgroupBarrier();
  let wordsPerSample = (neurons + 31u) / 32u;
  if ((local & 31u) == 0u && n / 32u < wordsPerSample) {
    spikeBits[b * wordsPerSample + n / 32u] = atomicLoad(&words[local / 32u]);
  }
}
