// Rows of a table, one for each id; rows on workgroup_id.y.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  width: u32,
  tableRows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn gatherRowsF32(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  if (id.x >= params.width) {
    return;
  }
  let row = ids[group.y];
  var value = 0.0;
  if (row < params.tableRows) {
    value = table[row * params.width + id.x];
  }
  out[group.y * params.width + id.x] = value;
}
