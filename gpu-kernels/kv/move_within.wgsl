// Blocks within one buffer; an invocation per word, pairs on workgroup_id.y and z. No block is of two pairs.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  count: u32,
  blockWords: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> pool: array<u32>;
@group(0) @binding(2) var<storage, read> pairs: array<u32>;

const NO_BLOCK: u32 = 0xffffffffu;

@compute @workgroup_size(WORKGROUP_SIZE)
fn kvMoveWithin(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let pair = group.z * groups.y + group.y;
  if (pair >= params.count || id.x >= params.blockWords) {
    return;
  }
  let page = pairs[2u * pair];
  let to = pairs[2u * pair + 1u];
  if (page == NO_BLOCK || to == NO_BLOCK) {
    return;
  }
  pool[to * params.blockWords + id.x] = pool[page * params.blockWords + id.x];
}
