// Rotary position embedding, in place; an invocation per pair, rows on workgroup_id.y.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  heads: u32,
  headSize: u32,
  rotated: u32,
  halves: u32,
  maxPositions: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
@group(0) @binding(3) var<storage, read> rotation: array<vec2f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn ropeRows(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let pairs = params.rotated / 2u;
  if (id.x >= params.heads * pairs) {
    return;
  }
  let pair = id.x % pairs;
  let head = (group.y * params.heads + id.x / pairs) * params.headSize;
  let first = head + select(2u * pair, pair, params.halves != 0u);
  let second = first + select(1u, pairs, params.halves != 0u);
  let angle = rotation[min(positions[group.y], params.maxPositions - 1u) * pairs + pair];
  let a = x[first];
  let b = x[second];
  x[first] = a * angle.x - b * angle.y;
  x[second] = a * angle.y + b * angle.x;
}
