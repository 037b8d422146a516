// Adam with decoupled weight decay and a pruning mask; one invocation per weight.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  count: u32,
  rate: f32,
  beta1: f32,
  beta2: f32,
  correction1: f32,
  correction2: f32,
  decay: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> weights: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> first: array<f32>;
@group(0) @binding(4) var<storage, read_write> second: array<f32>;
@group(0) @binding(5) var<storage, read> mask: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn adamStep(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= params.count) {
    return;
  }
  let g = gradient[i];
  let m = params.beta1 * first[i] + (1.0 - params.beta1) * g;
  let s = params.beta2 * second[i] + (1.0 - params.beta2) * (g * g);
  first[i] = m;
  second[i] = s;
  let direction = (m * params.correction1) / (sqrt(s * params.correction2) + 1e-8);
  weights[i] = (weights[i] - params.rate * (direction + params.decay * weights[i])) * mask[i];
}
