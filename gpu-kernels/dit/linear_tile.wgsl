// Products with weights in panels; an invocation computes four rows of a panel's eight columns. Nothing is shared within a workgroup, so there is nothing to wait for: neighbours
// read the same rows, and what they read of the weights is contiguous. What becomes of a sum says the file in front of this one: `rowOf` where a row of x begins, `finish` what
// is done with the sums.
fn product(local: u32, group: vec3u) {
  let inner = params.inner;
  let panel = group.x * 8u + local % 8u;
  let firstRow = (group.y * (WORKGROUP_SIZE / 8u) + local / 8u) * 4u;
  if (panel * 8u >= params.outer || firstRow >= params.rows) {
    return;
  }
  // Rows past the end are computed as the last one, and not written.
  let last = params.rows - 1u;
  let x0 = rowOf(firstRow);
  let x1 = rowOf(min(firstRow + 1u, last));
  let x2 = rowOf(min(firstRow + 2u, last));
  let x3 = rowOf(min(firstRow + 3u, last));
  var low = mat4x4f();
  var high = mat4x4f();
  var w = panel * inner * 2u;
  for (var i = 0u; i < inner; i++) {
    let a = weights[w];
    let b = weights[w + 1u];
    w += 2u;
    let four = vec4f(x[x0 + i], x[x1 + i], x[x2 + i], x[x3 + i]);
    low[0] += four.x * a;
    high[0] += four.x * b;
    low[1] += four.y * a;
    high[1] += four.y * b;
    low[2] += four.z * a;
    high[2] += four.z * b;
    low[3] += four.w * a;
    high[3] += four.w * b;
  }
  for (var r = 0u; r < min(4u, params.rows - firstRow); r++) {
    for (var c = 0u; c < min(8u, params.outer - panel * 8u); c++) {
      let n = panel * 8u + c;
      finish(firstRow + r, n, select(high[r][c % 4u], low[r][c % 4u], c < 4u) + bias[n]);
    }
  }
}
