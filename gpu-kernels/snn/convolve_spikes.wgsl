// Event-driven convolution as an ordered gather: an invocation owns one post-synaptic neuron, walks the spike list and adds
// the taps under which the spikes fall.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  slots: u32,
  delay: u32,
  inputStride: u32,
  inputOffset: u32,
  inChannels: u32,
  inHeight: u32,
  inWidth: u32,
  outChannels: u32,
  outHeight: u32,
  outWidth: u32,
  kernelHeight: u32,
  kernelWidth: u32,
  strideY: u32,
  strideX: u32,
  padY: u32,
  padX: u32,
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

// Index of the weight between a pre-synaptic and a post-synaptic neuron, or -1 when they do not touch.
fn tap(pre: u32, post: u32) -> i32 {
  let ox = post % params.outWidth;
  let oy = (post / params.outWidth) % params.outHeight;
  let oc = post / (params.outWidth * params.outHeight);
  let ix = pre % params.inWidth;
  let iy = (pre / params.inWidth) % params.inHeight;
  let ic = pre / (params.inWidth * params.inHeight);
  let kx = i32(ix + params.padX) - i32(ox * params.strideX);
  let ky = i32(iy + params.padY) - i32(oy * params.strideY);
  if (kx < 0 || ky < 0 || kx >= i32(params.kernelWidth) || ky >= i32(params.kernelHeight)) {
    return -1;
  }
  return i32(((ic * params.kernelHeight + u32(ky)) * params.kernelWidth + u32(kx)) * params.outChannels + oc);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn convolveSpikesF32(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = id.x;
  if (n >= params.outChannels * params.outHeight * params.outWidth) {
    return;
  }
  let list = arriving(group.y);
  let at = group.y * params.inputStride + params.inputOffset + n;
  var sum = inputF32[at];
  for (var k = list.x; k < list.y; k++) {
    let w = tap(spikeIds[k], n);
    if (w >= 0) {
      sum += weightsF32[w];
    }
  }
  inputF32[at] = sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn convolveSpikesI8(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = id.x;
  if (n >= params.outChannels * params.outHeight * params.outWidth) {
    return;
  }
  let list = arriving(group.y);
  var sum = 0;
  for (var k = list.x; k < list.y; k++) {
    let w = tap(spikeIds[k], n);
    if (w >= 0) {
      sum += extractBits(i32(weightsI8[w / 4]), u32(w % 4) * 8u, 8u);
    }
  }
  inputI32[group.y * params.inputStride + params.inputOffset + n] += sum << params.shift;
}
