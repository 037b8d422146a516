// Four weights of a row, half precision. unpack2x16float needs no extension of the device.
@group(0) @binding(2) var<storage, read> weights: array<vec2u>;

fn fourWeights(at: u32) -> vec4f {
  let words = weights[at];
  return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
}
