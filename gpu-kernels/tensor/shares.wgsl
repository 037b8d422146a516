// How eight invocations that share a product add up what they have: through workgroup memory. shares.subgroups.wgsl does it without.
var<workgroup> partial: array<vec4f, WORKGROUP_SIZE>;

/** Of the eight of which invocation `at` is one: sum of component `at % 4`, in an order that is the same in every variant. */
fn sumOfEight(mine: vec4f, at: u32, size: u32) -> f32 {
  partial[at] = mine;
  workgroupBarrier();
  let first = at & ~7u;
  let c = at & 3u;
  let low = (partial[first][c] + partial[first + 1u][c]) + (partial[first + 2u][c] + partial[first + 3u][c]);
  let high = (partial[first + 4u][c] + partial[first + 5u][c]) + (partial[first + 6u][c] + partial[first + 7u][c]);
  return low + high;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn matmulRows(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  multiply(local, 1u, group, groups);
}
