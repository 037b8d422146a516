// Rows of 16-bit numbers times rows of quantised weights; eight invocations per product and tile of four rows, each for its share of the parts of 32.
// Tiles on workgroup_id.y, rows of weights on x and z. What a part is says weights_*.wgsl, how the eight add up shares*.wgsl.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  inner: u32,
  outer: u32,
  accumulate: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<u32>;
@group(0) @binding(2) var<storage, read> scales: array<f32>;
@group(0) @binding(3) var<storage, read> sums: array<f32>;
@group(0) @binding(4) var<storage, read> weights: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

const SHARE: u32 = 8u;
const TILE: u32 = 4u;

/** Two 16-bit numbers of a word. */
fn pair(word: u32) -> vec2i {
  return vec2i(i32(word << 16u) >> 16u, i32(word) >> 16u);
}

/** What invocation `at` of the workgroup does. */
fn multiply(at: u32, size: u32, group: vec3u, groups: vec3u) {
  let n = (group.z * groups.x + group.x) * (WORKGROUP_SIZE / SHARE) + at / SHARE;
  let lane = at % SHARE;
  let parts = params.inner / 32u;
  let first = group.y * TILE;
  let count = min(TILE, params.rows - first);
  var totals = vec4f();
  if (n < params.outer) {
    for (var p = lane; p < parts; p += SHARE) {
      let w = weightsOf(n, p);
      for (var t = 0u; t < count; t++) {
        let begin = ((first + t) * params.inner + p * 32u) >> 1u;
        var low = 0;
        var high = 0;
        for (var k = 0u; k < 8u; k++) {
          let a = w.numbers[k];
          let x = pair(q[begin + k]);
          low += a.x * x.x + a.y * x.y;
          let b = w.numbers[8u + k];
          let z = pair(q[begin + 8u + k]);
          high += b.x * z.x + b.y * z.y;
        }
        totals[t] += f32(low) * w.scales.x + f32(high) * w.scales.y - w.minimum * sums[(first + t) * parts + p];
      }
    }
  }
  // An invocation per row of the tile takes what the eight have together.
  let total = sumOfEight(totals, at, size);
  if (lane >= count || n >= params.outer) {
    return;
  }
  let sum = total * scales[first + lane];
  let place = (first + lane) * params.outer + n;
  y[place] = select(sum, y[place] + sum, params.accumulate != 0u);
}
