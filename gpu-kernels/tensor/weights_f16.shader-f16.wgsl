// Four weights of a row, read as the halves that they are; arithmetic is in single precision as everywhere.
@group(0) @binding(2) var<storage, read> weights: array<vec4<f16>>;

fn fourWeights(at: u32) -> vec4f {
  return vec4f(weights[at]);
}
