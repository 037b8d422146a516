// Membrane potentials of decay-free LIF neurons as of the end of the step; one invocation per neuron.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  neurons: u32,
  receptors: u32,
  period: u32,
  origin: i32,
  leak: f32,
  reset: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> state: array<f32>;
@group(0) @binding(2) var<storage, read> decays: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn cubaLifPotential(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = id.x;
  if (n >= params.neurons) {
    return;
  }
  let row = 2u * (u32(i32(params.step) - params.origin + 1) % params.period) * (params.receptors + 1u);
  let u = group.y * (params.receptors + 1u) * params.neurons + n;
  var sum = 0.0;
  for (var r = 0u; r <= params.receptors; r++) {
    sum += decays[row + r] * state[u + r * params.neurons];
  }
  v[group.y * params.neurons + n] = params.leak + select(sum, params.reset, state[u] <= -1e18);
}
