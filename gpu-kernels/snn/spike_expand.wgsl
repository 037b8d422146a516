// From spikes per neuron to ascending lists of ids, each as often as it fired; one workgroup per sample, a prefix sum in
// workgroup memory.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  neurons: u32,
  slots: u32,
  most: u32,
  origin: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> spikeCounts: array<u32>;
@group(0) @binding(2) var<storage, read_write> spikeIndex: array<u32>;
@group(0) @binding(3) var<storage, read_write> spikeIds: array<u32>;
@group(0) @binding(4) var<storage, read_write> totals: array<u32>;

var<workgroup> sums: array<u32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn spikeExpand(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let b = group.y;
  let neurons = params.neurons;
  let slot = u32(i32(params.step) - params.origin) % params.slots;
  let start = (slot * params.batch + b) * neurons * params.most;
  // Every invocation takes a range of neurons, so that one prefix sum does for all.
  let each = (neurons + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE;
  let begin = min(neurons, local * each);
  let end = min(neurons, begin + each);
  var mine = 0u;
  for (var n = begin; n < end; n++) {
    mine += spikeCounts[b * neurons + n];
  }
  sums[local] = mine;
  workgroupBarrier();
  for (var reach = 1u; reach < WORKGROUP_SIZE; reach *= 2u) {
    var before = 0u;
    if (local >= reach) {
      before = sums[local - reach];
    }
    workgroupBarrier();
    sums[local] += before;
    workgroupBarrier();
  }
  var at = start + sums[local] - mine;
  for (var n = begin; n < end; n++) {
    let count = spikeCounts[b * neurons + n];
    for (var k = 0u; k < count; k++) {
      spikeIds[at] = n;
      at++;
    }
    if (count > 0u) {
      totals[b * neurons + n] += count;
    }
  }
  if (local == 0u) {
    let pair = 2u * (slot * params.batch + b);
    spikeIndex[pair] = start;
    spikeIndex[pair + 1u] = sums[WORKGROUP_SIZE - 1u];
  }
}
