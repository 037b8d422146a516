// Adds a given current to a population's input; one invocation per neuron, samples on workgroup_id.y.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  neurons: u32,
  inputStride: u32,
  inputOffset: u32,
  frames: u32,
  origin: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> currentF32: array<f32>;
@group(0) @binding(1) var<storage, read> currentI32: array<i32>;
@group(0) @binding(2) var<storage, read_write> inputF32: array<f32>;
@group(0) @binding(2) var<storage, read_write> inputI32: array<i32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn injectCurrentF32(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let t = i32(params.step) - params.origin;
  if (id.x >= params.neurons || t < 0) {
    return;
  }
  let frame = min(u32(t), params.frames - 1u);
  inputF32[group.y * params.inputStride + params.inputOffset + id.x] +=
    currentF32[(frame * params.batch + group.y) * params.neurons + id.x];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn injectCurrentI32(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let t = i32(params.step) - params.origin;
  if (id.x >= params.neurons || t < 0) {
    return;
  }
  let frame = min(u32(t), params.frames - 1u);
  inputI32[group.y * params.inputStride + params.inputOffset + id.x] +=
    currentI32[(frame * params.batch + group.y) * params.neurons + id.x];
}
