// Sparse synapses by pre-synaptic row. Integers scatter with atomics (their order does not matter). Floats are gathered in
// list order: an invocation owns one post-synaptic neuron and finds it in each row by binary search.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  posts: u32,
  slots: u32,
  delay: u32,
  inputStride: u32,
  inputOffset: u32,
  origin: i32,
  shift: u32,
  parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> spikeIndex: array<u32>;
@group(0) @binding(2) var<storage, read> spikeIds: array<u32>;
@group(0) @binding(3) var<storage, read> rowStart: array<u32>;
@group(0) @binding(4) var<storage, read> columns: array<u32>;
@group(0) @binding(5) var<storage, read> weightsF32: array<f32>;
@group(0) @binding(5) var<storage, read> weightsI8: array<u32>;
@group(0) @binding(6) var<storage, read_write> inputF32: array<f32>;
@group(0) @binding(6) var<storage, read_write> inputI32: array<atomic<i32>>;

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
fn scatterRowsF32(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = id.x;
  if (n >= params.posts) {
    return;
  }
  let list = arriving(group.y);
  let at = group.y * params.inputStride + params.inputOffset + n;
  var sum = inputF32[at];
  for (var k = list.x; k < list.y; k++) {
    let row = spikeIds[k];
    var low = rowStart[row * params.parts];
    let end = rowStart[(row + 1u) * params.parts];
    var high = end;
    while (low < high) {
      let middle = (low + high) / 2u;
      if (columns[middle] < n) {
        low = middle + 1u;
      } else {
        high = middle;
      }
    }
    // A row may name a neuron twice.
    while (low < end && columns[low] == n) {
      sum += weightsF32[low];
      low++;
    }
  }
  inputF32[at] = sum;
}

// A fixed number of workgroups strides over a sample's spikes; a workgroup's invocations share a row.
@compute @workgroup_size(WORKGROUP_SIZE)
fn scatterRowsI8(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let list = arriving(group.y);
  let target0 = group.y * params.inputStride + params.inputOffset;
  for (var k = list.x + group.x; k < list.y; k += groups.x) {
    let row = spikeIds[k];
    let end = rowStart[(row + 1u) * params.parts];
    for (var s = rowStart[row * params.parts] + local; s < end; s += WORKGROUP_SIZE) {
      let packed = i32(weightsI8[s / 4u]);
      let weight = extractBits(packed, (s % 4u) * 8u, 8u);
      atomicAdd(&inputI32[target0 + columns[s]], weight << params.shift);
    }
  }
}
