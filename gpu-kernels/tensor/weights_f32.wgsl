// Four weights of a row.
@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

fn fourWeights(at: u32) -> vec4f {
  return bitcast<vec4f>(weights[at]);
}
