// Gradient of the read-out weights; one invocation per weight.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  neurons: u32,
  classes: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> count: array<f32>;
@group(0) @binding(2) var<storage, read> delta: array<f32>;
@group(0) @binding(3) var<storage, read_write> weightGradient: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn readoutGradient(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= params.neurons * params.classes) {
    return;
  }
  let n = i / params.classes;
  let c = i % params.classes;
  var sum = 0.0;
  for (var b = 0u; b < params.batch; b++) {
    sum += count[b * params.neurons + n] * delta[b * params.classes + c];
  }
  weightGradient[i] = sum;
}
