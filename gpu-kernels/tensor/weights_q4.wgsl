// 32 weights of a row: pairs of whole numbers, scales of the two halves, minimum.
struct Part {
  numbers: array<vec2i, 16>,
  scales: vec2f,
  minimum: f32,
}

fn weightsOf(n: u32, p: u32) -> Part {
  let row = n * (params.inner / 32u) * 5u;
  var part: Part;
  for (var k = 0u; k < 4u; k++) {
    let word = i32(weights[row + p * 4u + k]);
    for (var j = 0u; j < 4u; j++) {
      part.numbers[4u * j + k] = vec2i((word << (28u - 4u * j)) >> 28u, (word << (12u - 4u * j)) >> 28u);
    }
  }
  part.scales = vec2f(bitcast<f32>(weights[row + params.inner / 8u + p]));
  part.minimum = 0.0;
  return part;
}
