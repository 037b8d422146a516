// Cosines and sines of times; an invocation per sequence and frequency. Angles are hundreds, where a device's own sine may be far off.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  sequences: u32,
  images: u32,
  half: u32,
  after: u32,
  steps: u32,
  origin: u32,
  span: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> schedule: array<f32>;
@group(0) @binding(2) var<storage, read> frequencies: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn turn(r: f32, quadrant: i32) -> f32 {
  let z = r * r;
  var value = (((-1.9515295891e-4 * z + 8.3321608736e-3) * z) - 1.6666654611e-1) * z * r + r;
  if ((quadrant & 1) != 0) {
    value = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
  }
  return select(value, -value, (quadrant & 2) != 0);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn timeRows(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let k = group.x * WORKGROUP_SIZE + local;
  if (k >= params.half) {
    return;
  }
  let row = u32(clamp(i32(params.step) - i32(params.origin), 0, i32(params.steps) - 1));
  let entry = (row * params.images + group.y % params.images) * 4u;
  let angle = schedule[entry + params.after] * params.span * frequencies[k];
  let n = round(angle * 0.6366197723675814);
  let r = ((angle - n * 1.5703125) - n * 4.837512969970703e-4) - n * 7.54978995489188e-8;
  let place = group.y * 2u * params.half + k;
  out[place] = turn(r, i32(n) + 1);
  out[place + params.half] = turn(r, i32(n));
}
