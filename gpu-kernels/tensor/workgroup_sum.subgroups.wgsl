// The same within quads by hardware, then over the sixteen quads, in the order of workgroup_sum.wgsl whatever the subgroup size (4 to 128).
var<workgroup> quads: array<f32, WORKGROUP_SIZE / 4u>;

fn quadSum(value: f32) -> f32 {
  let pair = value + quadSwapX(value);
  return pair + quadSwapY(pair);
}

/** Sum over the workgroup of 64; every invocation gets it. */
fn workgroupSum(value: f32, at: u32) -> f32 {
  quads[at / 4u] = quadSum(value);
  workgroupBarrier();
  let four = (at % 4u) * 4u;
  return quadSum((quads[four] + quads[four + 1u]) + (quads[four + 2u] + quads[four + 3u]));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rmsNormF32(
  @builtin(workgroup_id) group: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_size) size: u32,
) {
  normalise(subgroupNumber() * size + lane, group);
}
