// Rows times rows of weights; eight invocations per product, rows on workgroup_id.y, rows of weights on x and z.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  inner: u32,
  outer: u32,
  accumulate: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> weights: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// Invocations that share a product: neighbours, so that they read neighbouring vectors.
const SHARE: u32 = 8u;
var<workgroup> partial: array<f32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn matmulF32(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let n = (group.z * groups.x + group.x) * (WORKGROUP_SIZE / SHARE) + local / SHARE;
  let lane = local % SHARE;
  let vectors = params.inner / 4u;
  let row = group.y * vectors;
  var sums = vec4f();
  if (n < params.outer) {
    for (var i = lane; i < vectors; i += SHARE) {
      sums += x[row + i] * weights[n * vectors + i];
    }
  }
  partial[local] = sums.x + sums.y + (sums.z + sums.w);
  workgroupBarrier();
  if (lane != 0u || n >= params.outer) {
    return;
  }
  var sum = 0.0;
  for (var k = 0u; k < SHARE; k++) {
    sum += partial[local + k];
  }
  let at = group.y * params.outer + n;
  y[at] = select(sum, y[at] + sum, params.accumulate != 0u);
}
