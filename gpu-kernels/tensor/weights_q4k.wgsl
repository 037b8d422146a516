// 32 weights of a row: pairs of whole numbers, scales of the two halves, minimum.
struct Part {
  numbers: array<vec2i, 16>,
  scales: vec2f,
  minimum: f32,
}

fn weightsOf(n: u32, p: u32) -> Part {
  let row = n * (params.inner / 256u) * 38u;
  var part: Part;
  for (var k = 0u; k < 4u; k++) {
    let word = weights[row + p * 4u + k];
    for (var j = 0u; j < 4u; j++) {
      part.numbers[4u * j + k] = vec2i(i32((word >> (4u * j)) & 15u), i32((word >> (16u + 4u * j)) & 15u));
    }
  }
  let head = row + params.inner / 8u + 6u * (p / 8u);
  let shift = 8u * (p & 3u);
  let scale = f32((weights[head + 2u + ((p & 7u) >> 2u)] >> shift) & 255u);
  let minimum = f32((weights[head + 4u + ((p & 7u) >> 2u)] >> shift) & 255u);
  part.scales = vec2f(bitcast<f32>(weights[head]) * scale);
  part.minimum = bitcast<f32>(weights[head + 1u]) * minimum;
  return part;
}
