// Rows times rows of weights; eight invocations per product and tile of four rows, which share the weights that they read. Tiles on
// workgroup_id.y, rows of weights on x and z. What a weight is says the file that stands in front of this one.
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
@group(0) @binding(2) var<storage, read> weights: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// Invocations that share a product: neighbours, so that they read neighbouring vectors.
const SHARE: u32 = 8u;
const TILE: u32 = 4u;
var<workgroup> partial: array<f32, WORKGROUP_SIZE * 4u>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn matmulRows(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let n = (group.z * groups.x + group.x) * (WORKGROUP_SIZE / SHARE) + local / SHARE;
  let lane = local % SHARE;
  let vectors = params.inner / 4u;
  let first = group.y * TILE;
  let count = min(TILE, params.rows - first);
  var sums = array<vec4f, TILE>();
  if (n < params.outer) {
    let row = n * vectors * WORDS_OF_FOUR;
    for (var i = lane; i < vectors; i += SHARE) {
      let w = fourWeights(row + i * WORDS_OF_FOUR);
      for (var t = 0u; t < count; t++) {
        sums[t] += x[(first + t) * vectors + i] * w;
      }
    }
  }
  for (var t = 0u; t < TILE; t++) {
    partial[local * TILE + t] = sums[t].x + sums[t].y + (sums[t].z + sums[t].w);
  }
  workgroupBarrier();
  if (lane >= count || n >= params.outer) {
    return;
  }
  // An invocation per row of the tile adds up what the eight have.
  var sum = 0.0;
  for (var k = 0u; k < SHARE; k++) {
    sum += partial[(local - lane + k) * TILE + lane];
  }
  let at = (first + lane) * params.outer + n;
  y[at] = select(sum, y[at] + sum, params.accumulate != 0u);
}
