// Blocks of a pool back to f32; a workgroup per head of keys or values, pairs of blocks on workgroup_id.y.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  count: u32,
  kvHeads: u32,
  headSize: u32,
  blockSize: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pool: array<u32>;
@group(0) @binding(2) var<storage, read> pairs: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const NO_BLOCK: u32 = 0xffffffffu;
const F32: u32 = 0u;
const F16: u32 = 1u;
const INT8: u32 = 2u;
const INT4: u32 = 3u;

fn upTo4(words: u32) -> u32 {
  return (words + 3u) & ~3u;
}

fn unpack(format: u32, local: u32, group: vec3u) {
  let page = pairs[2u * group.y];
  let to = pairs[2u * group.y + 1u];
  if (page == NO_BLOCK || to == NO_BLOCK) {
    return;
  }
  let size = params.headSize;
  let tokens = params.blockSize;
  let elements = tokens * size;
  let all = 2u * params.kvHeads * elements;
  let into = to * all + group.x * elements;
  if (format == F32) {
    let source = page * all + group.x * elements;
    for (var i = local; i < elements; i += WORKGROUP_SIZE) {
      out[into + i] = bitcast<f32>(pool[source + i]);
    }
  } else if (format == F16) {
    let source = (page * all + group.x * elements) / 2u;
    for (var i = local; i < elements / 2u; i += WORKGROUP_SIZE) {
      let pair = unpack2x16float(pool[source + i]);
      out[into + 2u * i] = pair.x;
      out[into + 2u * i + 1u] = pair.y;
    }
  } else if (format == INT8) {
    let data = upTo4(2u * params.kvHeads);
    let start = page * upTo4(data + all / 4u + select(0u, 1u, size % 8u != 0u));
    let source = start + data + group.x * elements / 4u;
    let scale = bitcast<f32>(pool[start + group.x]);
    for (var i = local; i < elements; i += WORKGROUP_SIZE) {
      let q = extractBits(bitcast<i32>(pool[source + i / 4u]), 8u * (i % 4u), 8u);
      out[into + i] = f32(q) * scale;
    }
  } else {
    let heads = min(params.kvHeads, (31u + size) / size);
    let groups = (params.kvHeads + heads - 1u) / heads;
    let data = upTo4(params.kvHeads * size + groups * tokens);
    let start = page * upTo4(data + all / 8u + select(0u, 3u, size % 32u != 0u));
    let source = start + data + group.x * elements / 8u;
    let quarter = size / 4u;
    let isKeys = group.x < params.kvHeads;
    for (var i = local; i < elements; i += WORKGROUP_SIZE) {
      let c = i % size;
      let j = i / size;
      let short = j * quarter + c % quarter;
      let q = extractBits(pool[source + short / 2u], 16u * (short % 2u) + 4u * (c / quarter), 4u);
      var at = group.x * size + c;
      if (!isKeys) {
        at = params.kvHeads * size + (group.x - params.kvHeads) / heads * tokens + j;
      }
      let grid = pool[start + at];
      out[into + i] = unpack2x16float(grid).x * f32((bitcast<i32>(grid) >> 16u) + i32(q));
    }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn kvUnpackF32(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  unpack(F32, local, group);
}
@compute @workgroup_size(WORKGROUP_SIZE)
fn kvUnpackF16(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  unpack(F16, local, group);
}
@compute @workgroup_size(WORKGROUP_SIZE)
fn kvUnpackInt8(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  unpack(INT8, local, group);
}
@compute @workgroup_size(WORKGROUP_SIZE)
fn kvUnpackInt4(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  unpack(INT4, local, group);
}
