// What packed blocks of int4 say to attend.wgsl: how they lie, scores of keys, values. The scales of keys are per channel: they go into the
// query once for each block of a tile, their zeros into one sum a block.
@group(0) @binding(3) var<storage, read> pool: array<u32>;

// Query times scale, and times zero too, per channel of the blocks of a tile.
const FOLDED: u32 = 1024u;
var<workgroup> folded: array<f32, FOLDED>;
var<workgroup> offsets: array<f32, FOLDED>;
// Sums of offsets of the blocks of a tile.
var<workgroup> zeros: array<f32, WORKGROUP_SIZE>;

// Heads that share the scales of values: as many as make 32 of them.
fn headsPerGroup() -> u32 {
  return min(params.kvHeads, (31u + params.headSize) / params.headSize);
}

fn blockLayout() -> Layout {
  let size = params.headSize;
  let all = 2u * params.kvHeads * params.blockSize * size;
  let groups = (params.kvHeads + headsPerGroup() - 1u) / headsPerGroup();
  let keys = upTo4(params.kvHeads * size + groups * params.blockSize);
  return Layout(keys, upTo4(keys + all / 8u + select(0u, 3u, size % 32u != 0u)), size / 8u);
}

fn mostTileBlocks() -> u32 {
  return FOLDED / params.headSize;
}

/** Folds the query for the blocks of a tile that lie before block `end`. */
fn foldQuery(at: u32, tile: u32, tileBlocks: u32, table: u32, end: u32, kvHead: u32, words: u32) {
  let size = params.headSize;
  for (var i = at; i < tileBlocks * size; i += WORKGROUP_SIZE) {
    let b = tile + i / size;
    if (b < end) {
      let grid = pool[tables[table + b] * words + kvHead * size + i % size];
      folded[i] = query[i % size] * unpack2x16float(grid).x;
      offsets[i] = folded[i] * f32(bitcast<i32>(grid) >> 16u);
    }
  }
  workgroupBarrier();
  // Four invocations a block.
  for (var first = 0u; first < tileBlocks; first += WORKGROUP_SIZE / 4u) {
    let b = first + at / 4u;
    var total = 0.0;
    if (b < tileBlocks) {
      for (var i = b * size + at % 4u; i < (b + 1u) * size; i += 4u) {
        total += offsets[i];
      }
    }
    total = sumOfFour(total, at);
    if (b < tileBlocks && at % 4u == 0u) {
      zeros[b] = total;
    }
  }
  workgroupBarrier();
}

/** The query times the keys at `place`, in block `b` of the tile, which begins at word `start`. */
fn packedScore(place: u32, start: u32, b: u32, kvHead: u32) -> f32 {
  var sum = 0.0;
  let quarter = params.headSize / 4u;
  for (var i = 0u; i < params.headSize / 8u; i++) {
    let word = pool[place + i];
    for (var n = 0u; n < 4u; n++) {
      let c = b * params.headSize + n * quarter + 2u * i;
      sum += folded[c] * f32(extractBits(word, 4u * n, 4u));
      sum += folded[c + 1u] * f32(extractBits(word, 16u + 4u * n, 4u));
    }
  }
  return sum + zeros[b];
}

/** What the values of a token are multiplied by, and what is added to them. */
fn valueGrid(start: u32, kvHead: u32, within: u32) -> vec2f {
  let grid = pool[start + params.kvHeads * params.headSize + kvHead / headsPerGroup() * params.blockSize + within];
  let scale = unpack2x16float(grid).x;
  return vec2f(scale, scale * f32(bitcast<i32>(grid) >> 16u));
}

/** Element i of the values at `place`, before that. */
fn packedValue(place: u32, i: u32) -> f32 {
  let quarter = params.headSize / 4u;
  let short = i % quarter;
  return f32(extractBits(pool[place + short / 2u], 16u * (short % 2u) + 4u * (i / quarter), 4u));
}
