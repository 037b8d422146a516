// How a workgroup of attend.wgsl finds the highest score of a tile, and four neighbours a sum: through workgroup memory.
// tile_maximum.subgroups.wgsl does it by hardware.
var<workgroup> reduced: array<f32, WORKGROUP_SIZE>;

fn tileHighest(score: f32, at: u32, size: u32) -> f32 {
  reduced[at] = score;
  workgroupBarrier();
  for (var span = WORKGROUP_SIZE / 2u; span > 0u; span /= 2u) {
    if (at < span) {
      reduced[at] = max(reduced[at], reduced[at + span]);
    }
    workgroupBarrier();
  }
  return reduced[0];
}

fn sumOfFour(value: f32, at: u32) -> f32 {
  reduced[at] = value;
  workgroupBarrier();
  let first = at & ~3u;
  let sum = (reduced[first] + reduced[first + 1u]) + (reduced[first + 2u] + reduced[first + 3u]);
  workgroupBarrier();
  return sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn attendBlocks(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  attend(local, 1u, group);
}
