// Rows times rows of weights; eight invocations per product and tile of four rows, which share the weights that they read. Tiles on
// workgroup_id.y, rows of weights on x and z. What a weight is says weights_*.wgsl, how the eight add up shares*.wgsl; both stand behind this.
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
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// Invocations that share a product: neighbours, so that they read neighbouring vectors.
const SHARE: u32 = 8u;
const TILE: u32 = 4u;

/** What invocation `at` of the workgroup does. */
fn multiply(at: u32, size: u32, group: vec3u, groups: vec3u) {
  let n = (group.z * groups.x + group.x) * (WORKGROUP_SIZE / SHARE) + at / SHARE;
  let lane = at % SHARE;
  let vectors = params.inner / 4u;
  let first = group.y * TILE;
  let count = min(TILE, params.rows - first);
  var sums = array<vec4f, TILE>();
  if (n < params.outer) {
    for (var i = lane; i < vectors; i += SHARE) {
      let w = fourWeights(n * vectors + i);
      for (var t = 0u; t < count; t++) {
        sums[t] += x[(first + t) * vectors + i] * w;
      }
    }
  }
  var mine = vec4f();
  for (var t = 0u; t < TILE; t++) {
    mine[t] = sums[t].x + sums[t].y + (sums[t].z + sums[t].w);
  }
  // An invocation per row of the tile takes what the eight have together.
  let sum = sumOfEight(mine, at, size);
  if (lane >= count || n >= params.outer) {
    return;
  }
  let place = (first + lane) * params.outer + n;
  y[place] = select(sum, y[place] + sum, params.accumulate != 0u);
}
