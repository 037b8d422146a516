// Attention over the packed blocks of a sequence and the token's own block in the tail; a workgroup per (token, head). Positions are taken in tiles of
// whole blocks, at most WORKGROUP_SIZE: an invocation per position for the scores, then per elements of the head for the weighted values.
// Products are those of numbers, not of integers as on Wasm: packed values are scaled as they are read.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  heads: u32,
  kvHeads: u32,
  headSize: u32,
  blockSize: u32,
  tableWidth: u32,
  window: u32,
  scale: f32,
  cap: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> tail: array<f32>;
@group(0) @binding(3) var<storage, read> pool: array<u32>;
@group(0) @binding(4) var<storage, read> tables: array<u32>;
@group(0) @binding(5) var<storage, read> sequences: array<u32>;
@group(0) @binding(6) var<storage, read> positions: array<u32>;
@group(0) @binding(7) var<storage, read> slots: array<u32>;
@group(0) @binding(8) var<storage, read_write> out: array<f32>;

const F32: u32 = 0u;
const F16: u32 = 1u;
const INT8: u32 = 2u;
const INT4: u32 = 3u;
const LOWEST: f32 = -3.0e38;
// Heads have at most 256 elements, and an invocation has every WORKGROUP_SIZE-th of them.
const MOST_SHARES: u32 = 256u / 64u;
// Of int4: query times scale, and times zero too, per channel of the blocks of a tile.
const FOLDED: u32 = 1024u;

var<workgroup> query: array<f32, 256>;
var<workgroup> folded: array<f32, FOLDED>;
var<workgroup> offsets: array<f32, FOLDED>;
var<workgroup> reduced: array<f32, WORKGROUP_SIZE>;
// Of a tile's positions: weight, weight times scale, weight times minimum, first word of the token's values.
var<workgroup> weights: array<f32, WORKGROUP_SIZE>;
var<workgroup> scaled: array<f32, WORKGROUP_SIZE>;
var<workgroup> raised: array<f32, WORKGROUP_SIZE>;
var<workgroup> places: array<u32, WORKGROUP_SIZE>;

// Words from the start of a block: where its keys are, and how many it has.
struct Layout {
  keys: u32,
  words: u32,
  headsPerGroup: u32,
}

fn upTo4(words: u32) -> u32 {
  return (words + 3u) & ~3u;
}

fn layoutOf(format: u32) -> Layout {
  let size = params.headSize;
  let all = 2u * params.kvHeads * params.blockSize * size;
  let heads = min(params.kvHeads, (31u + size) / size);
  if (format == F32) {
    return Layout(0u, all, heads);
  }
  if (format == F16) {
    return Layout(0u, all / 2u, heads);
  }
  if (format == INT8) {
    let keys = upTo4(2u * params.kvHeads);
    return Layout(keys, upTo4(keys + all / 4u + select(0u, 1u, size % 8u != 0u)), heads);
  }
  let groups = (params.kvHeads + heads - 1u) / heads;
  let keys = upTo4(params.kvHeads * size + groups * params.blockSize);
  return Layout(keys, upTo4(keys + all / 8u + select(0u, 3u, size % 32u != 0u)), heads);
}

// Words that a token's head takes.
fn rowWords(format: u32) -> u32 {
  let size = params.headSize;
  return select(select(select(size / 8u, size / 4u, format == INT8), size / 2u, format == F16), size, format == F32);
}

fn tailDot(place: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < params.headSize; i++) {
    sum += query[i] * tail[place + i];
  }
  return sum;
}

// The query times the keys at `place`; int4 without what its minima add, the query folded at `at`.
fn packedDot(format: u32, place: u32, at: u32) -> f32 {
  var sum = 0.0;
  let words = rowWords(format);
  if (format == F32) {
    for (var i = 0u; i < words; i++) {
      sum += query[i] * bitcast<f32>(pool[place + i]);
    }
  } else if (format == F16) {
    for (var i = 0u; i < words; i++) {
      let pair = unpack2x16float(pool[place + i]);
      sum += query[2u * i] * pair.x + query[2u * i + 1u] * pair.y;
    }
  } else if (format == INT8) {
    for (var i = 0u; i < words; i++) {
      let word = bitcast<i32>(pool[place + i]);
      sum += query[4u * i] * f32(extractBits(word, 0u, 8u));
      sum += query[4u * i + 1u] * f32(extractBits(word, 8u, 8u));
      sum += query[4u * i + 2u] * f32(extractBits(word, 16u, 8u));
      sum += query[4u * i + 3u] * f32(word >> 24u);
    }
  } else {
    let quarter = params.headSize / 4u;
    for (var i = 0u; i < words; i++) {
      let word = pool[place + i];
      for (var n = 0u; n < 4u; n++) {
        let c = at + n * quarter + 2u * i;
        sum += folded[c] * f32(extractBits(word, 4u * n, 4u));
        sum += folded[c + 1u] * f32(extractBits(word, 16u + 4u * n, 4u));
      }
    }
  }
  return sum;
}

// Element i of the values at `place`, not scaled.
fn packedValue(format: u32, place: u32, i: u32) -> f32 {
  if (format == F32) {
    return bitcast<f32>(pool[place + i]);
  }
  if (format == F16) {
    let pair = unpack2x16float(pool[place + i / 2u]);
    return select(pair.x, pair.y, i % 2u == 1u);
  }
  if (format == INT8) {
    return f32(extractBits(bitcast<i32>(pool[place + i / 4u]), 8u * (i % 4u), 8u));
  }
  let quarter = params.headSize / 4u;
  let short = i % quarter;
  return f32(extractBits(pool[place + short / 2u], 16u * (short % 2u) + 4u * (i / quarter), 4u));
}

fn capped(score: f32) -> f32 {
  if (params.cap > 0.0) {
    return params.cap * (1.0 - 2.0 / (exp(clamp(score * (2.0 / params.cap), -87.0, 88.0)) + 1.0));
  }
  return score;
}

fn attend(format: u32, local: u32, group: vec3u) {
  let size = params.headSize;
  let tokens = params.blockSize;
  let token = group.x;
  let kvHead = group.y / (params.heads / params.kvHeads);
  let at = (token * params.heads + group.y) * size;
  let table = sequences[token] * params.tableWidth;
  let position = positions[token];
  let own = position / tokens;
  let first = select(0u, position + 1u - params.window, params.window > 0u && position >= params.window);
  let parts = layoutOf(format);
  let row = rowWords(format);
  let elements = tokens * row;
  let tailRow = (2u * (slots[token] / tokens) * params.kvHeads + kvHead) * tokens;
  let tileBlocks = max(1u, min(WORKGROUP_SIZE / tokens, FOLDED / size));
  for (var i = local; i < size; i += WORKGROUP_SIZE) {
    query[i] = q[at + i];
  }
  workgroupBarrier();

  var highest = LOWEST;
  var sum = 0.0;
  var result = array<f32, MOST_SHARES>();
  for (var tile = first / tokens; tile <= own; tile += tileBlocks) {
    if (format == INT4) {
      for (var i = local; i < tileBlocks * size; i += WORKGROUP_SIZE) {
        let b = tile + i / size;
        if (b < min(own, params.tableWidth)) {
          let grid = pool[tables[table + b] * parts.words + kvHead * size + i % size];
          folded[i] = query[i % size] * unpack2x16float(grid).x;
          offsets[i] = folded[i] * f32(bitcast<i32>(grid) >> 16u);
        }
      }
      workgroupBarrier();
      if (local < tileBlocks) {
        var total = 0.0;
        for (var i = local * size; i < (local + 1u) * size; i++) {
          total += offsets[i];
        }
        offsets[local * size] = total;
      }
      workgroupBarrier();
    }

    let b = tile + local / tokens;
    let within = local % tokens;
    let j = b * tokens + within;
    let isTail = b == own;
    var score = LOWEST;
    var place = 0u;
    var scale = 1.0;
    var minimum = 0.0;
    let valid = local < tileBlocks * tokens && j >= first && j <= position && (isTail || b < params.tableWidth);
    if (valid) {
      if (isTail) {
        place = (tailRow + within) * size;
        score = tailDot(place);
        place += params.kvHeads * tokens * size;
      } else {
        let start = tables[table + b] * parts.words;
        place = start + parts.keys + kvHead * elements + within * row;
        score = packedDot(format, place, (b - tile) * size);
        place += params.kvHeads * elements;
        if (format == INT8) {
          score *= bitcast<f32>(pool[start + kvHead]);
          scale = bitcast<f32>(pool[start + params.kvHeads + kvHead]);
        } else if (format == INT4) {
          score += offsets[(b - tile) * size];
          let gridAt = params.kvHeads * size + kvHead / parts.headsPerGroup * tokens + within;
          let grid = pool[start + gridAt];
          scale = unpack2x16float(grid).x;
          minimum = scale * f32(bitcast<i32>(grid) >> 16u);
        }
      }
      score = capped(score * params.scale);
    }
    reduced[local] = score;
    workgroupBarrier();
    for (var span = WORKGROUP_SIZE / 2u; span > 0u; span /= 2u) {
      if (local < span) {
        reduced[local] = max(reduced[local], reduced[local + span]);
      }
      workgroupBarrier();
    }
    let now = max(highest, reduced[0]);
    let weight = select(0.0, exp(max(score - now, -87.0)), valid);
    weights[local] = weight;
    scaled[local] = weight * scale;
    raised[local] = weight * minimum;
    places[local] = place;
    workgroupBarrier();
    let shrink = exp(max(highest - now, -87.0));
    highest = now;
    sum *= shrink;
    for (var s = 0u; s < MOST_SHARES; s++) {
      result[s] *= shrink;
    }
    for (var p = 0u; p < tileBlocks * tokens; p++) {
      if (weights[p] == 0.0) {
        continue;
      }
      sum += weights[p];
      let fromTail = tile + p / tokens == own;
      for (var s = 0u; s < MOST_SHARES; s++) {
        let i = local + s * WORKGROUP_SIZE;
        if (i < size) {
          if (fromTail) {
            result[s] += weights[p] * tail[places[p] + i];
          } else {
            result[s] += scaled[p] * packedValue(format, places[p], i) + raised[p];
          }
        }
      }
    }
    workgroupBarrier();
  }
  for (var s = 0u; s < MOST_SHARES; s++) {
    let i = local + s * WORKGROUP_SIZE;
    if (i < size) {
      out[at + i] = result[s] / sum;
    }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn attendF32(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  attend(F32, local, group);
}
@compute @workgroup_size(WORKGROUP_SIZE)
fn attendF16(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  attend(F16, local, group);
}
@compute @workgroup_size(WORKGROUP_SIZE)
fn attendInt8(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  attend(INT8, local, group);
}
@compute @workgroup_size(WORKGROUP_SIZE)
fn attendInt4(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  attend(INT4, local, group);
}
