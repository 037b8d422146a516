// Four weights of a row, the upper halves of single precision.
@group(0) @binding(2) var<storage, read> weights: array<vec2u>;

fn fourWeights(at: u32) -> vec4f {
  let words = weights[at];
  return bitcast<vec4f>(vec4u(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}
