// One time step of a population; one invocation per neuron, samples on workgroup_id.y. Contract: docs/kernels.md.
// An invocation past the population still takes part in the barriers. Spike bits are gathered per word in workgroup memory,
// so WORKGROUP_SIZE is a multiple of 32.
override WORKGROUP_SIZE: u32 = 64u;

struct ParamsF32 {
  step: u32,
  batch: u32,
  neurons: u32,
  receptors: u32,
  uniformConstants: u32,
  resetMode: u32,
  spiking: u32,
}

struct ParamsI32 {
  step: u32,
  batch: u32,
  neurons: u32,
  uniformConstants: u32,
  subtract: u32,
  spiking: u32,
}

@group(0) @binding(0) var<uniform> paramsF32: ParamsF32;
@group(0) @binding(0) var<uniform> paramsI32: ParamsI32;
@group(0) @binding(1) var<storage, read_write> vF32: array<f32>;
@group(0) @binding(1) var<storage, read_write> vI32: array<i32>;
@group(0) @binding(2) var<storage, read_write> inputF32: array<f32>;
@group(0) @binding(2) var<storage, read_write> inputI32: array<i32>;
@group(0) @binding(3) var<storage, read> constantsF32: array<f32>;
@group(0) @binding(3) var<storage, read> constantsI32: array<i32>;
@group(0) @binding(4) var<storage, read_write> refractory: array<u32>;
@group(0) @binding(5) var<storage, read_write> spikeBits: array<u32>;

var<workgroup> words: array<atomic<u32>, 32>;

fn collect(fired: bool, neuron: u32, local: u32, sample: u32, neurons: u32) {
  if (local < 32u) {
    atomicStore(&words[local], 0u);
  }
  workgroupBarrier();
  if (fired) {
    atomicOr(&words[local / 32u], 1u << (local & 31u));
  }
  workgroupBarrier();
  let wordsPerSample = (neurons + 31u) / 32u;
  if ((local & 31u) == 0u && neuron / 32u < wordsPerSample) {
    spikeBits[sample * wordsPerSample + neuron / 32u] = atomicLoad(&words[local / 32u]);
  }
}

// The end of a step in which the potential crossed the threshold and went on from reset.
fn afterCrossing(alpha: f32, before: f32, next: f32, threshold: f32, reset: f32) -> f32 {
  if (alpha == 1.0) {
    return reset + (next - threshold);
  }
  let end = (next - alpha * before) / (1.0 - alpha);
  let elapsed = max(1.0, (before - end) / (threshold - end));
  return end + (reset - end) * (alpha * elapsed);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn neuronStepF32(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
) {
  let n = id.x;
  let b = group.y;
  let neurons = paramsF32.neurons;
  var fired = false;
  if (n < neurons) {
    let at = b * neurons + n;
    let stride = select(neurons, 1u, paramsF32.uniformConstants != 0u);
    let column = select(n, 0u, paramsF32.uniformConstants != 0u);
    var next = constantsF32[column] * vF32[at] + constantsF32[stride + column];
    for (var r = 0u; r < paramsF32.receptors; r++) {
      let i = (b * paramsF32.receptors + r) * neurons + n;
      let current = inputF32[i];
      next += constantsF32[(5u + 2u * r) * stride + column] * current;
      inputF32[i] = constantsF32[(6u + 2u * r) * stride + column] * current;
    }
    if (refractory[at] > 0u) {
      refractory[at] -= 1u;
    } else {
      let threshold = constantsF32[2u * stride + column];
      fired = paramsF32.spiking != 0u && next > threshold;
      if (fired) {
        let reset = constantsF32[3u * stride + column];
        let alpha = constantsF32[column];
        switch paramsF32.resetMode {
          case 0u: {
            next = reset;
          }
          case 1u: {
            next = next - (threshold - reset);
          }
          default: {
            next = afterCrossing(alpha, vF32[at], next, threshold, reset);
          }
        }
        refractory[at] = u32(constantsF32[4u * stride + column]);
      }
      vF32[at] = next;
    }
  }
  collect(fired, n, local, b, neurons);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn neuronStepI32(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
) {
  let n = id.x;
  let b = group.y;
  let neurons = paramsI32.neurons;
  var fired = false;
  if (n < neurons) {
    let at = b * neurons + n;
    let stride = select(neurons, 1u, paramsI32.uniformConstants != 0u);
    let column = select(n, 0u, paramsI32.uniformConstants != 0u);
    let before = vI32[at];
    let shift = constantsI32[column];
    let leak = select(0, before >> u32(shift), shift > 0);
    var next = before - leak + inputI32[at] + constantsI32[4u * stride + column];
    inputI32[at] = 0;
    if (refractory[at] > 0u) {
      refractory[at] -= 1u;
    } else {
      let threshold = constantsI32[stride + column];
      fired = paramsI32.spiking != 0u && next >= threshold;
      if (fired) {
        let reset = constantsI32[2u * stride + column];
        next = select(reset, next - (threshold - reset), paramsI32.subtract != 0u);
        refractory[at] = u32(constantsI32[3u * stride + column]);
      }
      vI32[at] = next;
    }
  }
  collect(fired, n, local, b, neurons);
}
