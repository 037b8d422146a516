// 32 weights of a row: pairs of whole numbers, scales of the two halves, minimum.
struct Part {
  numbers: array<vec2i, 16>,
  scales: vec2f,
  minimum: f32,
}

fn weightsOf(n: u32, p: u32) -> Part {
  let row = n * (params.inner / 32u) * 9u;
  var part: Part;
  for (var k = 0u; k < 8u; k++) {
    let word = i32(weights[row + p * 8u + k]);
    part.numbers[2u * k] = vec2i((word << 24u) >> 24u, (word << 16u) >> 24u);
    part.numbers[2u * k + 1u] = vec2i((word << 8u) >> 24u, word >> 24u);
  }
  part.scales = vec2f(bitcast<f32>(weights[row + params.inner / 4u + p]));
  part.minimum = 0.0;
  return part;
}
