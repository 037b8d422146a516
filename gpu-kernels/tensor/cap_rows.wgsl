// Squashes values to +- cap; an invocation per element.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  count: u32,
  cap: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn capRows(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP_SIZE + local;
  if (i < params.count) {
    let power = clamp(x[i] / params.cap * 2.0, -87.0, 88.0);
    x[i] = params.cap * (1.0 - 2.0 / (exp(power) + 1.0));
  }
}
