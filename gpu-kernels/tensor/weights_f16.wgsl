// Four weights of a row from its words, half precision. unpack2x16float needs no extension of the device.
const WORDS_OF_FOUR: u32 = 2u;

fn fourWeights(word: u32) -> vec4f {
  return vec4f(unpack2x16float(weights[word]), unpack2x16float(weights[word + 1u]));
}
