// What packed blocks of int8 say to attend.wgsl: how they lie, scores of keys, values.
@group(0) @binding(3) var<storage, read> pool: array<u32>;

fn blockLayout() -> Layout {
  let size = params.headSize;
  let all = 2u * params.kvHeads * params.blockSize * size;
  let keys = upTo4(2u * params.kvHeads);
  return Layout(keys, upTo4(keys + all / 4u + select(0u, 1u, size % 8u != 0u)), size / 4u);
}

fn mostTileBlocks() -> u32 {
  return WORKGROUP_SIZE;
}

/** There is nothing to prepare for a tile. */
fn foldQuery(at: u32, tile: u32, tileBlocks: u32, table: u32, end: u32, kvHead: u32, words: u32) {}

/** The query times the keys at `place`, in block `b` of the tile, which begins at word `start`. */
fn packedScore(place: u32, start: u32, b: u32, kvHead: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < params.headSize / 4u; i++) {
    let word = bitcast<i32>(pool[place + i]);
    sum += query[4u * i] * f32(extractBits(word, 0u, 8u));
    sum += query[4u * i + 1u] * f32(extractBits(word, 8u, 8u));
    sum += query[4u * i + 2u] * f32(extractBits(word, 16u, 8u));
    sum += query[4u * i + 3u] * f32(word >> 24u);
  }
  return sum * bitcast<f32>(pool[start + kvHead]);
}

/** What the values of a token are multiplied by, and what is added to them. */
fn valueGrid(start: u32, kvHead: u32, within: u32) -> vec2f {
  return vec2f(bitcast<f32>(pool[start + params.kvHeads + kvHead]), 0.0);
}

/** Element i of the values at `place`, before that. */
fn packedValue(place: u32, i: u32) -> f32 {
  return f32(extractBits(bitcast<i32>(pool[place + i / 4u]), 8u * (i % 4u), 8u));
}
