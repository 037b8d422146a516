// Event-driven convolution as an ordered gather: an invocation owns one position of four post-synaptic feature maps, walks the spike list and
// adds the taps under which the spikes fall. A workgroup takes the list apart together, a tile at a time: (x, y, first tap of the channel).
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

var<workgroup> tile: array<vec3i, WORKGROUP_SIZE>;

fn place(k: u32, end: u32, local: u32) {
  if (k < end) {
    let id = spikeIds[k];
    let row = id / params.inWidth;
    let channel = row / params.inHeight;
    let taps = channel * params.kernelHeight * params.kernelWidth * params.outChannels;
    tile[local] = vec3i(i32(id - row * params.inWidth), i32(row - channel * params.inHeight), i32(taps));
  }
}

// The window of invocation n: its corner, the first of its four channels, and its position in a feature map.
fn window(n: u32) -> vec4i {
  let plane = params.outWidth * params.outHeight;
  let position = n % plane;
  let row = position / params.outWidth;
  return vec4i(
    i32((position - row * params.outWidth) * params.strideX) - i32(params.padX),
    i32(row * params.strideY) - i32(params.padY),
    i32(4u * (n / plane)),
    i32(position),
  );
}

// Index of the first weight between a spike and a window, or -1 when they do not touch.
fn tap(spike: vec3i, corner: vec4i) -> i32 {
  let kx = spike.x - corner.x;
  let ky = spike.y - corner.y;
  if (u32(kx) >= params.kernelWidth || u32(ky) >= params.kernelHeight) {
    return -1;
  }
  return spike.z + (ky * i32(params.kernelWidth) + kx) * i32(params.outChannels) + corner.z;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn convolveSpikesF32(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
) {
  let corner = window(id.x);
  let channels = min(4, i32(params.outChannels) - corner.z);
  let plane = params.outWidth * params.outHeight;
  let list = arriving(group.y);
  let at = group.y * params.inputStride + params.inputOffset + u32(corner.z) * plane + u32(corner.w);
  var sum: array<f32, 4>;
  for (var c = 0; c < channels; c++) {
    sum[c] = inputF32[at + u32(c) * plane];
  }
  for (var first = list.x; first < list.y; first += WORKGROUP_SIZE) {
    place(first + local, list.y, local);
    workgroupBarrier();
    let count = min(WORKGROUP_SIZE, list.y - first);
    for (var k = 0u; k < count; k++) {
      let w = tap(tile[k], corner);
      if (w >= 0) {
        for (var c = 0; c < channels; c++) {
          sum[c] += weightsF32[w + c];
        }
      }
    }
    workgroupBarrier();
  }
  for (var c = 0; c < channels; c++) {
    inputF32[at + u32(c) * plane] = sum[c];
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn convolveSpikesI8(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
) {
  let corner = window(id.x);
  let channels = min(4, i32(params.outChannels) - corner.z);
  let plane = params.outWidth * params.outHeight;
  let list = arriving(group.y);
  var sum: array<i32, 4>;
  for (var first = list.x; first < list.y; first += WORKGROUP_SIZE) {
    place(first + local, list.y, local);
    workgroupBarrier();
    let count = min(WORKGROUP_SIZE, list.y - first);
    for (var k = 0u; k < count; k++) {
      let w = tap(tile[k], corner);
      if (w >= 0) {
        for (var c = 0; c < channels; c++) {
          sum[c] += extractBits(i32(weightsI8[(w + c) / 4]), u32((w + c) % 4) * 8u, 8u);
        }
      }
    }
    workgroupBarrier();
  }
  let at = group.y * params.inputStride + params.inputOffset + u32(corner.z) * plane + u32(corner.w);
  for (var c = 0; c < channels; c++) {
    inputI32[at + u32(c) * plane] += sum[c] << params.shift;
  }
}
