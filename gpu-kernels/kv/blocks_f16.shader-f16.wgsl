// blocks_f16.wgsl for devices with shader-f16: halves are read as what they are, four at a time where they are keys. Arithmetic is in
// single precision and in the same order.
@group(0) @binding(3) var<storage, read> pool: array<vec4<f16>>;

fn blockLayout() -> Layout {
  let each = params.kvHeads * params.blockSize * params.headSize;
  return Layout(0u, each, params.headSize / 2u);
}

fn mostTileBlocks() -> u32 {
  return WORKGROUP_SIZE;
}

/** There is nothing to prepare for a tile. */
fn foldQuery(at: u32, tile: u32, tileBlocks: u32, table: u32, end: u32, kvHead: u32, words: u32) {}

/** The query times the keys at `place`, in block `b` of the tile, which begins at word `start`. Rows are of whole vectors. */
fn packedScore(place: u32, start: u32, b: u32, kvHead: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < params.headSize / 4u; i++) {
    let four = vec4f(pool[place / 2u + i]);
    sum += query[4u * i] * four.x + query[4u * i + 1u] * four.y;
    sum += query[4u * i + 2u] * four.z + query[4u * i + 3u] * four.w;
  }
  return sum;
}

/** What the values of a token are multiplied by, and what is added to them. */
fn valueGrid(start: u32, kvHead: u32, within: u32) -> vec2f {
  return vec2f(1.0, 0.0);
}

/** Element i of the values at `place`, before that. */
fn packedValue(place: u32, i: u32) -> f32 {
  return f32(pool[place / 2u + i / 4u][i % 4u]);
}
