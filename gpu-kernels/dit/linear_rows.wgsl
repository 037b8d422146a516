// A linear layer and its activation; an invocation per four rows and eight columns (linear_tile.wgsl).
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  inner: u32,
  outer: u32,
  tokens: u32,
  xSequence: u32,
  xFirst: u32,
  ySequence: u32,
  yFirst: u32,
  activation: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn rowOf(t: u32) -> u32 {
  return ((t / params.tokens) * params.xSequence + params.xFirst + t % params.tokens) * params.inner;
}

fn activate(value: f32) -> f32 {
  if (params.activation == 0u) {
    return value;
  }
  let cube = value * value * value;
  let power = select(-value, -1.5957691216 * (value + 0.044715 * cube), params.activation == 2u);
  return value / (1.0 + exp(clamp(power, -87.0, 88.0)));
}

fn finish(t: u32, n: u32, sum: f32) {
  let row = (t / params.tokens) * params.ySequence + params.yFirst + t % params.tokens;
  y[row * params.outer + n] = activate(sum);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn linearRows(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  product(local, group);
}
