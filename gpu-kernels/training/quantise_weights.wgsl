// Weights rounded half to even to the integers of the fixed-point engine, kept as f32; one invocation per weight.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  count: u32,
  inverseScale: f32,
  limit: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> quantised: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn quantiseWeights(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= params.count) {
    return;
  }
  quantised[i] = clamp(round(weights[i] * params.inverseScale), -params.limit, params.limit);
}
