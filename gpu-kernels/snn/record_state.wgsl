// Copies the state of chosen neurons into a recording, one frame per step.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  neurons: u32,
  chosen: u32,
  frames: u32,
  origin: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> record: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn recordState(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let frame = i32(params.step) - params.origin;
  if (id.x >= params.chosen || frame < 0 || u32(frame) >= params.frames) {
    return;
  }
  record[(u32(frame) * params.batch + group.y) * params.chosen + id.x] = state[group.y * params.neurons + ids[id.x]];
}
