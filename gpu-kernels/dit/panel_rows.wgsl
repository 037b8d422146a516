// Rows of heads to panels of eight keys; an invocation per element of the panels.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  sequences: u32,
  rows: u32,
  heads: u32,
  headSize: u32,
  sequence: u32,
  first: u32,
  stride: u32,
  begin: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> panels: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn panelRows(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let k = (group.y * groups.x + group.x) * WORKGROUP_SIZE + local;
  let size = (params.rows + 7u) / 8u * 8u * params.headSize;
  if (k >= params.sequences * params.heads * size) {
    return;
  }
  let pair = k / size;
  let within = k % size;
  let j = within / (8u * params.headSize) * 8u + within % 8u;
  let i = (within / 8u) % params.headSize;
  var value = 0.0;
  if (j < params.rows) {
    let row = (pair / params.heads) * params.sequence + params.first + j;
    value = x[row * params.stride + params.begin + (pair % params.heads) * params.headSize + i];
  }
  panels[k] = value;
}
