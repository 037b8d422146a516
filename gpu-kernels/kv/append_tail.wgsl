// Keys and values of new tokens into their slots of the tail blocks; an invocation per element, rows on workgroup_id.y.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  kvHeads: u32,
  headSize: u32,
  blockSize: u32,
  tailBlocks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> slots: array<u32>;
@group(0) @binding(4) var<storage, read_write> tail: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn kvAppend(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let width = params.kvHeads * params.headSize;
  let slot = slots[group.y];
  let page = slot / params.blockSize;
  if (id.x >= width) {
    return;
  }
  if (page >= params.tailBlocks) {
    return;
  }
  let values = width * params.blockSize;
  let head = id.x / params.headSize;
  let row = head * params.blockSize + slot % params.blockSize;
  let place = 2u * page * values + row * params.headSize + id.x % params.headSize;
  tail[place] = k[group.y * width + id.x];
  tail[place + values] = v[group.y * width + id.x];
}
