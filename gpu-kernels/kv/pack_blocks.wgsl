// Full blocks into a pool; a workgroup per head of keys or values (int4: per group of heads of values), pairs of blocks on workgroup_id.y.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  count: u32,
  kvHeads: u32,
  headSize: u32,
  blockSize: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tail: array<f32>;
@group(0) @binding(2) var<storage, read> pairs: array<u32>;
@group(0) @binding(3) var<storage, read_write> pool: array<u32>;

const NO_BLOCK: u32 = 0xffffffffu;
const TINY: f32 = 1e-30;
const LARGEST_HALF: f32 = 65504.0;
const LARGEST: f32 = 3e38;
// Heads have at most 256 channels, blocks at most 64 tokens.
var<workgroup> zeros: array<f32, 256>;
var<workgroup> inverses: array<f32, 256>;
var<workgroup> lowest: array<f32, WORKGROUP_SIZE>;
var<workgroup> highest: array<f32, WORKGROUP_SIZE>;

fn upTo4(words: u32) -> u32 {
  return (words + 3u) & ~3u;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn kvPackF32(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let page = pairs[2u * group.y];
  let to = pairs[2u * group.y + 1u];
  if (page == NO_BLOCK || to == NO_BLOCK) {
    return;
  }
  let elements = params.blockSize * params.headSize;
  let source = (2u * page * params.kvHeads + group.x) * elements;
  let place = (2u * to * params.kvHeads + group.x) * elements;
  for (var i = local; i < elements; i += WORKGROUP_SIZE) {
    pool[place + i] = bitcast<u32>(tail[source + i]);
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn kvPackF16(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let page = pairs[2u * group.y];
  let to = pairs[2u * group.y + 1u];
  if (page == NO_BLOCK || to == NO_BLOCK) {
    return;
  }
  let words = params.blockSize * params.headSize / 2u;
  let source = (2u * page * params.kvHeads + group.x) * words * 2u;
  let place = (2u * to * params.kvHeads + group.x) * words;
  for (var i = local; i < words; i += WORKGROUP_SIZE) {
    let pair = vec2f(tail[source + 2u * i], tail[source + 2u * i + 1u]);
    pool[place + i] = pack2x16float(clamp(pair, vec2f(-LARGEST_HALF), vec2f(LARGEST_HALF)));
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn kvPackInt8(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let page = pairs[2u * group.y];
  let to = pairs[2u * group.y + 1u];
  if (page == NO_BLOCK || to == NO_BLOCK) {
    return;
  }
  let words = params.blockSize * params.headSize / 4u;
  let source = (2u * page * params.kvHeads + group.x) * words * 4u;
  let data = upTo4(2u * params.kvHeads);
  let slack = select(0u, 1u, params.headSize % 8u != 0u);
  let start = to * upTo4(data + 2u * params.kvHeads * words + slack);
  var most = 0.0;
  for (var i = local; i < words * 4u; i += WORKGROUP_SIZE) {
    most = max(most, abs(tail[source + i]));
  }
  highest[local] = most;
  workgroupBarrier();
  for (var span = WORKGROUP_SIZE / 2u; span > 0u; span /= 2u) {
    if (local < span) {
      highest[local] = max(highest[local], highest[local + span]);
    }
    workgroupBarrier();
  }
  most = highest[0];
  let is = most > TINY;
  let inverse = select(0.0, 127.0 / most, is);
  if (local == 0u) {
    pool[start + group.x] = bitcast<u32>(select(0.0, most * (1.0 / 127.0), is));
  }
  let place = start + data + group.x * words;
  for (var i = local; i < words; i += WORKGROUP_SIZE) {
    var word = 0u;
    for (var k = 0u; k < 4u; k++) {
      let q = i32(round(tail[source + 4u * i + k] * inverse));
      word |= (bitcast<u32>(q) & 255u) << (8u * k);
    }
    pool[place + i] = word;
  }
}

// A grid that covers low .. high, as in host/kernels/kv/half.ts: keeps its zero and the inverse of its scale, and returns its word.
fn gridOver(at: u32, low: f32, high: f32) -> u32 {
  let size = max(abs(low), abs(high)) * ((1.0 + 1.0 / 512.0) / 32768.0);
  let wish = min(max((high - low) * ((1.0 + 1.0 / 512.0) / 15.0), size), LARGEST_HALF);
  // The scale is a half: a whole multiple of its quantum, rounded up.
  let power = max(bitcast<u32>(wish) & 0x7f800000u, 0x38800000u);
  let multiple = ceil(wish * bitcast<f32>(0x7f000000u + (10u << 23u) - power));
  let scale = multiple * bitcast<f32>(power - (10u << 23u));
  let inverse = select(0.0, 1.0 / scale, scale > 0.0);
  let zero = round(low * inverse);
  inverses[at] = inverse;
  zeros[at] = zero;
  let half = (power >> 13u) - (113u << 10u) + u32(multiple);
  return half | (bitcast<u32>(i32(zero)) << 16u);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn kvPackInt4(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let page = pairs[2u * group.y];
  let to = pairs[2u * group.y + 1u];
  if (page == NO_BLOCK || to == NO_BLOCK) {
    return;
  }
  let size = params.headSize;
  let tokens = params.blockSize;
  let elements = tokens * size;
  let heads = min(params.kvHeads, (31u + size) / size);
  let groups = (params.kvHeads + heads - 1u) / heads;
  let data = upTo4(params.kvHeads * size + groups * tokens);
  let slack = select(0u, 3u, size % 32u != 0u);
  let start = to * upTo4(data + params.kvHeads * elements / 4u + slack);
  let isKeys = group.x < params.kvHeads;
  var head = group.x;
  var last = group.x + 1u;
  if (!isKeys) {
    head = (group.x - params.kvHeads) * heads;
    last = min(head + heads, params.kvHeads);
  }
  if (head >= params.kvHeads) {
    return;
  }
  let source = (2u * page * params.kvHeads + select(params.kvHeads, 0u, isKeys)) * elements;
  if (isKeys) {
    for (var c = local; c < size; c += WORKGROUP_SIZE) {
      var low = LARGEST;
      var high = -LARGEST;
      for (var j = 0u; j < tokens; j++) {
        let x = tail[source + head * elements + j * size + c];
        low = min(low, x);
        high = max(high, x);
      }
      pool[start + head * size + c] = gridOver(c, low, high);
    }
  } else {
    // Four invocations a token.
    let share = WORKGROUP_SIZE / 4u;
    for (var first = 0u; first < tokens; first += share) {
      let j = first + local / 4u;
      var low = LARGEST;
      var high = -LARGEST;
      if (j < tokens) {
        for (var h = head; h < last; h++) {
          for (var c = local % 4u; c < size; c += 4u) {
            let x = tail[source + h * elements + j * size + c];
            low = min(low, x);
            high = max(high, x);
          }
        }
      }
      lowest[local] = low;
      highest[local] = high;
      workgroupBarrier();
      if (local % 4u == 0u && j < tokens) {
        for (var k = 1u; k < 4u; k++) {
          low = min(low, lowest[local + k]);
          high = max(high, highest[local + k]);
        }
        let at = params.kvHeads * size + (group.x - params.kvHeads) * tokens + j;
        pool[start + at] = gridOver(j, low, high);
      }
      workgroupBarrier();
    }
  }
  workgroupBarrier();
  let quarter = size / 4u;
  let row = size / 8u;
  let place = start + data + select(params.kvHeads * elements / 8u, 0u, isKeys);
  for (var i = local; i < (last - head) * tokens * row; i += WORKGROUP_SIZE) {
    let x = i % row;
    let line = head * tokens + i / row;
    let j = line % tokens;
    var word = 0u;
    for (var k = 0u; k < 8u; k++) {
      let c = (k % 4u) * quarter + 2u * x + k / 4u;
      let at = select(j, c, isKeys);
      let q = round(tail[source + line * size + c] * inverses[at]) - zeros[at];
      word |= u32(clamp(q, 0.0, 15.0)) << (4u * k);
    }
    pool[place + line * row + x] = word;
  }
}
