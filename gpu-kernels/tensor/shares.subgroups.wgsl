// How eight invocations that share a product add up what they have: neighbours within a subgroup swap, quads first. Where subgroups have
// four invocations the two quads meet in workgroup memory. Sums have the order of shares.wgsl whatever the subgroup size (4 to 128).
var<workgroup> partial: array<vec4f, WORKGROUP_SIZE / 4u>;

/** Of the eight of which invocation `at` is one: sum of component `at % 4`, in an order that is the same in every variant. */
fn sumOfEight(mine: vec4f, at: u32, size: u32) -> f32 {
  var sum = mine + quadSwapX(mine);
  sum += quadSwapY(sum);
  if (size >= 8u) {
    sum += subgroupShuffleXor(sum, 4u);
  } else {
    partial[at / 4u] = sum;
    workgroupBarrier();
    sum += partial[(at / 4u) ^ 1u];
  }
  return sum[at & 3u];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn matmulRows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_size) size: u32,
) {
  multiply(subgroupNumber() * size + lane, size, group, groups);
}
