// Root-mean-square normalisation; a workgroup per row. How a workgroup adds up says the file that stands behind this one.
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

/** `at`: place of the invocation among the 64. */
fn normalise(at: u32, group: vec3u) {
  let row = group.y * params.width;
  var squares = 0.0;
  for (var i = at; i < params.width; i += WORKGROUP_SIZE) {
    squares += x[row + i] * x[row + i];
  }
  let scale = 1.0 / sqrt(workgroupSum(squares, at) / f32(params.width) + params.epsilon);
  for (var i = at; i < params.width; i += WORKGROUP_SIZE) {
    y[row + i] = x[row + i] * scale * weight[i];
  }
}
