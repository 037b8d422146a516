// What packed blocks of f32 say to attend.wgsl: how they lie, scores of keys, values.
@group(0) @binding(3) var<storage, read> pool: array<u32>;

fn blockLayout() -> Layout {
  let each = params.kvHeads * params.blockSize * params.headSize;
  return Layout(0u, 2u * each, params.headSize);
}

fn mostTileBlocks() -> u32 {
  return WORKGROUP_SIZE;
}

/** There is nothing to prepare for a tile. */
fn foldQuery(at: u32, tile: u32, tileBlocks: u32, table: u32, end: u32, kvHead: u32, words: u32) {}

/** The query times the keys at `place`, in block `b` of the tile, which begins at word `start`. */
fn packedScore(place: u32, start: u32, b: u32, kvHead: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < params.headSize; i++) {
    sum += query[i] * bitcast<f32>(pool[place + i]);
  }
  return sum;
}

/** What the values of a token are multiplied by, and what is added to them. */
fn valueGrid(start: u32, kvHead: u32, within: u32) -> vec2f {
  return vec2f(1.0, 0.0);
}

/** Element i of the values at `place`, before that. */
fn packedValue(place: u32, i: u32) -> f32 {
  return bitcast<f32>(pool[place + i]);
}
