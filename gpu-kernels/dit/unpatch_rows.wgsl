// Rows of patches back to pictures; an invocation per element.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  images: u32,
  rows: u32,
  first: u32,
  height: u32,
  width: u32,
  channels: u32,
  side: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> patches: array<f32>;
@group(0) @binding(2) var<storage, read_write> pictures: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn unpatchRows(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let k = (group.y * groups.x + group.x) * WORKGROUP_SIZE + local;
  let side = params.side;
  let line = side * params.channels;
  let size = side * line;
  if (k >= params.images * params.rows * size) {
    return;
  }
  let row = k / size;
  let token = params.first + row % params.rows;
  let across = params.width / side;
  let within = k % size;
  let y = (token / across) * side + within / line;
  let x = (token % across) * side + (within / params.channels) % side;
  let point = ((row / params.rows) * params.height + y) * params.width + x;
  let picture = point * params.channels + within % params.channels;
  pictures[picture] = patches[k];
}
