// Dense synapses: an invocation owns one post-synaptic neuron and adds its column of every row that fired, in list order;
// neighbours read neighbouring weights.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  posts: u32,
  rowStride: u32,
  slots: u32,
  delay: u32,
  inputStride: u32,
  inputOffset: u32,
  origin: i32,
  shift: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> spikeIndex: array<u32>;
@group(0) @binding(2) var<storage, read> spikeIds: array<u32>;
@group(0) @binding(3) var<storage, read> weightsF32: array<f32>;
@group(0) @binding(3) var<storage, read> weightsI8: array<u32>;
@group(0) @binding(4) var<storage, read_write> inputF32: array<f32>;
@group(0) @binding(4) var<storage, read_write> inputI32: array<i32>;

// Start and end of the list that arrives at sample b in this step; empty when none does.
fn arriving(b: u32) -> vec2u {
  let t = i32(params.step) - params.origin - i32(params.delay);
  if (t < 0) {
    return vec2u(0u, 0u);
  }
  let pair = 2u * ((u32(t) % params.slots) * params.batch + b);
  return vec2u(spikeIndex[pair], spikeIndex[pair] + spikeIndex[pair + 1u]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn denseRowsF32(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = id.x;
  if (n >= params.posts) {
    return;
  }
  let list = arriving(group.y);
  let at = group.y * params.inputStride + params.inputOffset + n;
  var sum = inputF32[at];
  for (var k = list.x; k < list.y; k++) {
    sum += weightsF32[spikeIds[k] * params.rowStride + n];
  }
  inputF32[at] = sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn denseRowsI8(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = id.x;
  if (n >= params.posts) {
    return;
  }
  let list = arriving(group.y);
  var sum = 0;
  for (var k = list.x; k < list.y; k++) {
    let s = spikeIds[k] * params.rowStride + n;
    sum += extractBits(i32(weightsI8[s / 4u]), (s % 4u) * 8u, 8u);
  }
  inputI32[group.y * params.inputStride + params.inputOffset + n] += sum << params.shift;
}
