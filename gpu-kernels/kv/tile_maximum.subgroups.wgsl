// How a workgroup of attend.wgsl finds the highest score of a tile, and four neighbours a sum: by hardware within a subgroup, over subgroups in
// workgroup memory. The order does not matter to maxima, sums are those of quads: any subgroup size will do (4 to 128). Subgroups
// number themselves, so nothing depends on how invocations are dealt to them.
// Of each subgroup.
var<workgroup> reduced: array<f32, WORKGROUP_SIZE / 4u>;

fn tileHighest(score: f32, at: u32, size: u32) -> f32 {
  let most = subgroupMax(score);
  if (subgroupElect()) {
    reduced[at / size] = most;
  }
  workgroupBarrier();
  var highest = reduced[0];
  let subgroups = atomicLoad(&subgroupCount);
  for (var s = 1u; s < subgroups; s++) {
    highest = max(highest, reduced[s]);
  }
  return highest;
}

fn sumOfFour(value: f32, at: u32) -> f32 {
  let pair = value + quadSwapX(value);
  return pair + quadSwapY(pair);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn attendBlocks(
  @builtin(workgroup_id) group: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_size) size: u32,
) {
  attend(subgroupNumber() * size + lane, size, group);
}
