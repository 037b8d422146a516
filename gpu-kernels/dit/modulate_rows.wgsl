// Modulated layer norm; a workgroup per row.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  width: u32,
  tokens: u32,
  stride: u32,
  shiftFirst: u32,
  scaleFirst: u32,
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> modulation: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

var<workgroup> partial: array<f32, WORKGROUP_SIZE>;

/** Sum over the workgroup; every invocation gets it. */
fn workgroupSum(value: f32, local: u32) -> f32 {
  workgroupBarrier();
  partial[local] = value;
  workgroupBarrier();
  for (var span = WORKGROUP_SIZE / 2u; span > 0u; span /= 2u) {
    if (local < span) {
      partial[local] += partial[local + span];
    }
    workgroupBarrier();
  }
  return partial[0];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn modulateRows(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let row = group.y * params.width;
  let sequence = (group.y / params.tokens) * params.stride;
  var sum = 0.0;
  for (var i = local; i < params.width; i += WORKGROUP_SIZE) {
    sum += x[row + i];
  }
  let mean = workgroupSum(sum, local) / f32(params.width);
  var squares = 0.0;
  for (var i = local; i < params.width; i += WORKGROUP_SIZE) {
    let off = x[row + i] - mean;
    squares += off * off;
  }
  let factor = 1.0 / sqrt(workgroupSum(squares, local) / f32(params.width) + params.epsilon);
  for (var i = local; i < params.width; i += WORKGROUP_SIZE) {
    let scale = 1.0 + modulation[sequence + params.scaleFirst + i];
    y[row + i] = (x[row + i] - mean) * factor * scale + modulation[sequence + params.shiftFirst + i];
  }
}
