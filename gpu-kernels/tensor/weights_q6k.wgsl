// 32 weights of a row: pairs of whole numbers, scales of the two halves, minimum.
struct Part {
  numbers: array<vec2i, 16>,
  scales: vec2f,
  minimum: f32,
}

fn weightsOf(n: u32, p: u32) -> Part {
  let row = n * (params.inner / 256u) * 69u;
  var part: Part;
  for (var k = 0u; k < 8u; k++) {
    let word = i32(weights[row + p * 8u + k]);
    part.numbers[2u * k] = vec2i((word << 24u) >> 24u, (word << 16u) >> 24u);
    part.numbers[2u * k + 1u] = vec2i((word << 8u) >> 24u, word >> 24u);
  }
  let head = row + params.inner / 4u + 5u * (p / 8u);
  let word = i32(weights[head + 1u + ((p & 7u) >> 1u)]);
  let shift = 16u * (1u - (p & 1u));
  let two = vec2f(f32((word << (shift + 8u)) >> 24u), f32((word << shift) >> 24u));
  part.scales = bitcast<f32>(weights[head]) * two;
  part.minimum = 0.0;
  return part;
}
