// Four weights of a row from its words, the upper halves of single precision.
const WORDS_OF_FOUR: u32 = 2u;

fn fourWeights(word: u32) -> vec4f {
  let a = weights[word];
  let b = weights[word + 1u];
  return bitcast<vec4f>(vec4u(a << 16u, a & 0xffff0000u, b << 16u, b & 0xffff0000u));
}
