// Synapses by post-synaptic column; one invocation per post-synaptic neuron.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  pres: u32,
  posts: u32,
  inputStride: u32,
  inputOffset: u32,
  shift: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> flags: array<u32>;
@group(0) @binding(2) var<storage, read> columnStart: array<u32>;
@group(0) @binding(3) var<storage, read> rows: array<u32>;
@group(0) @binding(4) var<storage, read> weightsF32: array<f32>;
@group(0) @binding(4) var<storage, read> weightsI8: array<u32>;
@group(0) @binding(5) var<storage, read_write> inputF32: array<f32>;
@group(0) @binding(5) var<storage, read_write> inputI32: array<i32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn gatherColumnsF32(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = id.x;
  if (n >= params.posts) {
    return;
  }
  let at = group.y * params.inputStride + params.inputOffset + n;
  var sum = inputF32[at];
  for (var k = columnStart[n]; k < columnStart[n + 1u]; k++) {
    let spikes = flags[group.y * params.pres + rows[k]];
    if (spikes != 0u) {
      sum += f32(spikes) * weightsF32[k];
    }
  }
  inputF32[at] = sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gatherColumnsI8(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = id.x;
  if (n >= params.posts) {
    return;
  }
  var sum = 0;
  for (var k = columnStart[n]; k < columnStart[n + 1u]; k++) {
    let weight = extractBits(i32(weightsI8[k / 4u]), (k % 4u) * 8u, 8u);
    sum += i32(flags[group.y * params.pres + rows[k]]) * (weight << params.shift);
  }
  inputI32[group.y * params.inputStride + params.inputOffset + n] += sum;
}
