// A linear layer that ends in a gated residual; an invocation per four rows and eight columns (linear_tile.wgsl).
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  inner: u32,
  outer: u32,
  tokens: u32,
  xSequence: u32,
  xFirst: u32,
  gateStride: u32,
  gateFirst: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> gates: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

fn rowOf(t: u32) -> u32 {
  return ((t / params.tokens) * params.xSequence + params.xFirst + t % params.tokens) * params.inner;
}

fn finish(t: u32, n: u32, sum: f32) {
  let gate = gates[(t / params.tokens) * params.gateStride + params.gateFirst + n];
  y[t * params.outer + n] += gate * sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gatedLinearRows(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  product(local, group);
}
