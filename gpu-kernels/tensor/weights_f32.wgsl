// Four weights of a row from its words.
const WORDS_OF_FOUR: u32 = 4u;

fn fourWeights(word: u32) -> vec4f {
  return vec4f(
    bitcast<f32>(weights[word]),
    bitcast<f32>(weights[word + 1u]),
    bitcast<f32>(weights[word + 2u]),
    bitcast<f32>(weights[word + 3u]),
  );
}
