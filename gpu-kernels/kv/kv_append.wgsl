// Keys and values of new tokens into their slots; an invocation per element, rows on workgroup_id.y.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  kvHeads: u32,
  headSize: u32,
  blockSize: u32,
  blocks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> slots: array<u32>;
@group(0) @binding(4) var<storage, read_write> keys: array<f32>;
@group(0) @binding(5) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn kvAppendF32(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let width = params.kvHeads * params.headSize;
  let slot = slots[group.y];
  let page = slot / params.blockSize;
  if (id.x >= width) {
    return;
  }
  if (page >= params.blocks) {
    return;
  }
  let head = id.x / params.headSize;
  let within = slot % params.blockSize;
  let element = id.x % params.headSize;
  let row = (page * params.kvHeads + head) * params.blockSize + within;
  let place = row * params.headSize + element;
  keys[place] = k[group.y * width + id.x];
  values[place] = v[group.y * width + id.x];
}
