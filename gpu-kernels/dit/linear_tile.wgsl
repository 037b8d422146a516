// Tiles of 32 rows and 32 columns of a product with weights in panels; an invocation computes four rows and four columns. What becomes of a sum says the file in front of this
// one: `rowOf` where a row of x begins, `finish` what is done with the sums.
const TILE: u32 = 32u;
const DEPTH: u32 = 16u;
// By depth, so that neighbours read neighbours.
var<workgroup> tileOfX: array<f32, TILE * DEPTH>;
var<workgroup> tileOfW: array<vec4f, TILE * DEPTH / 4u>;

fn product(local: u32, group: vec3u) {
  let inner = params.inner;
  let firstRow = group.y * TILE;
  let firstColumn = group.x * TILE;
  let column = (local % 8u) * 4u;
  let row = (local / 8u) * 4u;
  var sums = array<vec4f, 4>();
  for (var depth = 0u; depth < inner; depth += DEPTH) {
    for (var k = local; k < TILE * DEPTH; k += WORKGROUP_SIZE) {
      let t = firstRow + k / DEPTH;
      let i = depth + k % DEPTH;
      var value = 0.0;
      if (t < params.rows && i < inner) {
        value = x[rowOf(t) + i];
      }
      tileOfX[(k % DEPTH) * TILE + k / DEPTH] = value;
    }
    for (var k = local; k < TILE * DEPTH / 4u; k += WORKGROUP_SIZE) {
      let n = firstColumn + (k % 8u) * 4u;
      let i = depth + k / 8u;
      var four = vec4f();
      if (n < params.outer && i < inner) {
        four = weights[((n / 8u) * inner + i) * 2u + (n / 4u) % 2u];
      }
      tileOfW[k] = four;
    }
    workgroupBarrier();
    for (var i = 0u; i < DEPTH; i++) {
      let w = tileOfW[i * 8u + local % 8u];
      let at = i * TILE + row;
      sums[0] += tileOfX[at] * w;
      sums[1] += tileOfX[at + 1u] * w;
      sums[2] += tileOfX[at + 2u] * w;
      sums[3] += tileOfX[at + 3u] * w;
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < 4u; r++) {
    let t = firstRow + row + r;
    if (t >= params.rows) {
      break;
    }
    for (var c = 0u; c < 4u; c++) {
      let n = firstColumn + column + c;
      if (n < params.outer) {
        finish(t, n, sums[r][c] + bias[n]);
      }
    }
  }
}
