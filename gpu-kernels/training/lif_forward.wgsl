// A LIF population unrolled over a window; one invocation per sample and neuron. Contract: docs/kernels.md.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  steps: u32,
  batch: u32,
  neurons: u32,
  threshold: f32,
  leak: f32,
  floorLeak: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> current: array<f32>;
@group(0) @binding(2) var<storage, read_write> v: array<f32>;
@group(0) @binding(3) var<storage, read_write> count: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn lifForward(@builtin(global_invocation_id) id: vec3u) {
  let width = params.batch * params.neurons;
  let i = id.x;
  if (i >= width) {
    return;
  }
  var potential = 0.0;
  var spikes = 0.0;
  for (var t = 0u; t < params.steps; t++) {
    var lost = potential * params.leak;
    if (params.floorLeak != 0u) {
      lost = floor(lost);
    }
    potential = (potential - lost) + current[t * width + i];
    v[t * width + i] = potential;
    if (potential >= params.threshold) {
      spikes += 1.0;
      potential -= params.threshold;
    }
  }
  count[i] = spikes;
}
