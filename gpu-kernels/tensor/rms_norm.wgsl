// Root-mean-square normalisation; a workgroup per row.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  width: u32,
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

var<workgroup> partial: array<f32, WORKGROUP_SIZE>;
var<workgroup> quads: array<f32, WORKGROUP_SIZE / 4u>;

fn fourQuads(first: u32) -> f32 {
  return (quads[first] + quads[first + 1u]) + (quads[first + 2u] + quads[first + 3u]);
}

/** Sum over the workgroup of 64, neighbours first as in rms_norm.subgroups.wgsl; every invocation gets it. */
fn workgroupSum(value: f32, local: u32) -> f32 {
  partial[local] = value;
  workgroupBarrier();
  if (local < WORKGROUP_SIZE / 4u) {
    let first = 4u * local;
    quads[local] = (partial[first] + partial[first + 1u]) + (partial[first + 2u] + partial[first + 3u]);
  }
  workgroupBarrier();
  return (fourQuads(0u) + fourQuads(4u)) + (fourQuads(8u) + fourQuads(12u));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rmsNormF32(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let row = group.y * params.width;
  var squares = 0.0;
  for (var i = local; i < params.width; i += WORKGROUP_SIZE) {
    squares += x[row + i] * x[row + i];
  }
  let scale = 1.0 / sqrt(workgroupSum(squares, local) / f32(params.width) + params.epsilon);
  for (var i = local; i < params.width; i += WORKGROUP_SIZE) {
    y[row + i] = x[row + i] * scale * weight[i];
  }
}
