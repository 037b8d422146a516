// One time step of a population whose neurons may fire several times in it; one invocation per neuron, samples on
// workgroup_id.y. Contract: docs/kernels.md.
override WORKGROUP_SIZE: u32 = 64u;

struct ParamsF32 {
  step: u32,
  batch: u32,
  neurons: u32,
  receptors: u32,
  uniformConstants: u32,
  most: u32,
}

struct ParamsI32 {
  step: u32,
  batch: u32,
  neurons: u32,
  uniformConstants: u32,
  most: u32,
}

@group(0) @binding(0) var<uniform> paramsF32: ParamsF32;
@group(0) @binding(0) var<uniform> paramsI32: ParamsI32;
@group(0) @binding(1) var<storage, read_write> vF32: array<f32>;
@group(0) @binding(1) var<storage, read_write> vI32: array<i32>;
@group(0) @binding(2) var<storage, read_write> inputF32: array<f32>;
@group(0) @binding(2) var<storage, read_write> inputI32: array<i32>;
@group(0) @binding(3) var<storage, read> constantsF32: array<f32>;
@group(0) @binding(3) var<storage, read> constantsI32: array<i32>;
@group(0) @binding(4) var<storage, read_write> spikeCounts: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn neuronBurstF32(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = id.x;
  let b = group.y;
  let neurons = paramsF32.neurons;
  if (n >= neurons) {
    return;
  }
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
  let threshold = constantsF32[2u * stride + column];
  var count = 0.0;
  if (next > threshold) {
    // A quotient may be a few units in the last place off, so the remainder decides.
    let most = f32(paramsF32.most);
    count = min(ceil(next / threshold) - 1.0, most);
    let left = next - count * threshold;
    if (left > threshold) {
      count = min(count + 1.0, most);
    } else if (left <= 0.0) {
      count -= 1.0;
    }
    next = next - count * threshold;
  }
  vF32[at] = next;
  spikeCounts[at] = u32(count);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn neuronBurstI32(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = id.x;
  let b = group.y;
  let neurons = paramsI32.neurons;
  if (n >= neurons) {
    return;
  }
  let at = b * neurons + n;
  let stride = select(neurons, 1u, paramsI32.uniformConstants != 0u);
  let column = select(n, 0u, paramsI32.uniformConstants != 0u);
  let before = vI32[at];
  let shift = constantsI32[column];
  let leak = select(0, before >> u32(shift), shift > 0);
  var next = before - leak + inputI32[at] + constantsI32[4u * stride + column];
  inputI32[at] = 0;
  let threshold = constantsI32[stride + column];
  var count = 0;
  if (next >= threshold) {
    count = min(next / threshold, i32(paramsI32.most));
    next -= count * threshold;
  }
  vI32[at] = next;
  spikeCounts[at] = u32(count);
}
