// The gradient through a LIF population, backwards in time; one invocation per sample and neuron.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  steps: u32,
  batch: u32,
  neurons: u32,
  threshold: f32,
  leak: f32,
  slope: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> v: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> delta: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn lifBackward(@builtin(global_invocation_id) id: vec3u) {
  let width = params.batch * params.neurons;
  let i = id.x;
  if (i >= width) {
    return;
  }
  let keep = 1.0 - params.leak;
  let steepness = params.slope / params.threshold;
  var carried = 0.0;
  for (var s = params.steps; s > 0u; s--) {
    let at = (s - 1u) * width + i;
    let distance = 1.0 + steepness * abs(v[at] - params.threshold);
    carried = carried * keep + gradient[i] * (1.0 / (distance * distance));
    delta[at] = carried;
  }
}
