// The second half of a step of Heun's method; an invocation per element.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  images: u32,
  size: u32,
  guided: u32,
  steps: u32,
  origin: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> velocity: array<f32>;
@group(0) @binding(2) var<storage, read> schedule: array<vec4f>;
@group(0) @binding(3) var<storage, read> kept: array<f32>;
@group(0) @binding(4) var<storage, read_write> latents: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn heunCorrect(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP_SIZE + local;
  let count = params.images * params.size;
  if (i >= count) {
    return;
  }
  let row = clamp(i32(params.step) - i32(params.origin), 0, i32(params.steps) - 1);
  let entry = schedule[u32(row) * params.images + i / params.size];
  var v = velocity[i];
  if (params.guided != 0u) {
    let without = velocity[count + i];
    v = without + entry.z * (v - without);
  }
  let length = entry.y - entry.x;
  latents[i] += length * 0.5 * (kept[i] + v);
}
