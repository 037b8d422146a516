// Attention over the packed blocks of a sequence and the token's own block in the tail; a workgroup per (token, head). Positions are taken in tiles of
// whole blocks, at most WORKGROUP_SIZE: an invocation per position for the scores, then per elements of the head for the weighted values.
// Products are those of numbers, not of integers as on Wasm: packed values are scaled as they are read. How blocks are packed says blocks_*.wgsl, how
// the workgroup finds a maximum tile_maximum*.wgsl; both stand behind this.
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
@group(0) @binding(4) var<storage, read> tables: array<u32>;
@group(0) @binding(5) var<storage, read> sequences: array<u32>;
@group(0) @binding(6) var<storage, read> positions: array<u32>;
@group(0) @binding(7) var<storage, read> slots: array<u32>;
@group(0) @binding(8) var<storage, read_write> out: array<f32>;

const LOWEST: f32 = -3.0e38;
// Heads have at most 256 elements, and an invocation has every WORKGROUP_SIZE-th of them.
const MOST_SHARES: u32 = 256u / 64u;

var<workgroup> query: array<f32, 256>;
// Of a tile's positions: weight, weight times scale, weight times minimum, first word of the token's values.
var<workgroup> weights: array<f32, WORKGROUP_SIZE>;
var<workgroup> scaled: array<f32, WORKGROUP_SIZE>;
var<workgroup> raised: array<f32, WORKGROUP_SIZE>;
var<workgroup> places: array<u32, WORKGROUP_SIZE>;

// Of a block: the word at which its keys begin, its words, and those of a token's head.
struct Layout {
  keys: u32,
  words: u32,
  row: u32,
}

fn upTo4(words: u32) -> u32 {
  return (words + 3u) & ~3u;
}

fn tailDot(place: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < params.headSize; i++) {
    sum += query[i] * tail[place + i];
  }
  return sum;
}

fn capped(score: f32) -> f32 {
  if (params.cap > 0.0) {
    return params.cap * (1.0 - 2.0 / (exp(clamp(score * (2.0 / params.cap), -87.0, 88.0)) + 1.0));
  }
  return score;
}

/** What invocation `at` of the workgroup does; `size` is that of a subgroup. */
fn attend(at: u32, size: u32, group: vec3u) {
  let width = params.headSize;
  let tokens = params.blockSize;
  let token = group.x;
  let kvHead = group.y / (params.heads / params.kvHeads);
  let head = (token * params.heads + group.y) * width;
  let table = sequences[token] * params.tableWidth;
  let position = positions[token];
  let own = position / tokens;
  let first = select(0u, position + 1u - params.window, params.window > 0u && position >= params.window);
  let parts = blockLayout();
  let elements = tokens * parts.row;
  let tailRow = (2u * (slots[token] / tokens) * params.kvHeads + kvHead) * tokens;
  let tileBlocks = max(1u, min(WORKGROUP_SIZE / tokens, mostTileBlocks()));
  for (var i = at; i < width; i += WORKGROUP_SIZE) {
    query[i] = q[head + i];
  }
  workgroupBarrier();

  var highest = LOWEST;
  var sum = 0.0;
  var result = array<f32, MOST_SHARES>();
  for (var tile = first / tokens; tile <= own; tile += tileBlocks) {
    foldQuery(at, tile, tileBlocks, table, min(own, params.tableWidth), kvHead, parts.words);
    let b = tile + at / tokens;
    let within = at % tokens;
    let j = b * tokens + within;
    let isTail = b == own;
    var score = LOWEST;
    var place = 0u;
    var grid = vec2f(1.0, 0.0);
    let valid = at < tileBlocks * tokens && j >= first && j <= position && (isTail || b < params.tableWidth);
    if (valid) {
      if (isTail) {
        place = (tailRow + within) * width;
        score = tailDot(place);
        place += params.kvHeads * tokens * width;
      } else {
        let start = tables[table + b] * parts.words;
        place = start + parts.keys + kvHead * elements + within * parts.row;
        score = packedScore(place, start, b - tile, kvHead);
        place += params.kvHeads * elements;
        grid = valueGrid(start, kvHead, within);
      }
      score = capped(score * params.scale);
    }
    let now = max(highest, tileHighest(score, at, size));
    let weight = select(0.0, exp(max(score - now, -87.0)), valid);
    weights[at] = weight;
    scaled[at] = weight * grid.x;
    raised[at] = weight * grid.y;
    places[at] = place;
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
        let i = at + s * WORKGROUP_SIZE;
        if (i < width) {
          if (fromTail) {
            result[s] += weights[p] * tail[places[p] + i];
          } else {
            result[s] += scaled[p] * packedValue(places[p], i) + raised[p];
          }
        }
      }
    }
    workgroupBarrier();
  }
  for (var s = 0u; s < MOST_SHARES; s++) {
    let i = at + s * WORKGROUP_SIZE;
    if (i < width) {
      out[head + i] = result[s] / sum;
    }
  }
}
