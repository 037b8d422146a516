// Sparse synapses onto decay-free LIF neurons, as an ordered gather: an invocation owns one post-synaptic neuron and finds
// it in the row of each spike by binary search.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  posts: u32,
  receptors: u32,
  receptor: u32,
  period: u32,
  slots: u32,
  delay: u32,
  origin: i32,
  parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> spikeIndex: array<u32>;
@group(0) @binding(2) var<storage, read> spikeIds: array<u32>;
@group(0) @binding(3) var<storage, read> rowStart: array<u32>;
@group(0) @binding(4) var<storage, read> columns: array<u32>;
@group(0) @binding(5) var<storage, read> weights: array<f32>;
@group(0) @binding(6) var<storage, read> gains: array<f32>;
@group(0) @binding(7) var<storage, read_write> state: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn cubaLifScatter(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = id.x;
  let t = i32(params.step) - params.origin - i32(params.delay);
  if (n >= params.posts || t < 0) {
    return;
  }
  let phase = (params.step - u32(params.origin)) % params.period;
  let pair = 2u * ((u32(t) % params.slots) * params.batch + group.y);
  let start = spikeIndex[pair];
  let last = start + spikeIndex[pair + 1u];
  let u = group.y * (params.receptors + 1u) * params.posts + n;
  let g = u + (params.receptor + 1u) * params.posts;
  var membrane = state[u];
  var current = state[g];
  for (var k = start; k < last; k++) {
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
    while (low < end && columns[low] == n) {
      current += weights[low] * gains[2u * phase];
      membrane += weights[low] * gains[2u * phase + 1u];
      low++;
    }
  }
  state[u] = membrane;
  state[g] = current;
}
