// Adds one set of rows to another, again and again where it is shorter; an invocation per element.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  count: u32,
  period: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn addRows(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP_SIZE + local;
  if (i < params.count) {
    y[i] += x[i % params.period];
  }
}
