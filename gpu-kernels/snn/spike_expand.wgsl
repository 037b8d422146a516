// From spikes per neuron to ascending lists of ids, each as often as it fired; one workgroup per sample, a prefix sum over its
// neurons in workgroup memory.
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
  var base = 0u;
  for (var first = 0u; first < neurons; first += WORKGROUP_SIZE) {
    let n = first + local;
    var mine = 0u;
    if (n < neurons) {
      mine = spikeCounts[b * neurons + n];
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
    let at = start + base + sums[local] - mine;
    for (var k = 0u; k < mine; k++) {
      spikeIds[at + k] = n;
    }
    if (mine > 0u) {
      totals[b * neurons + n] += mine;
    }
    base += sums[WORKGROUP_SIZE - 1u];
    workgroupBarrier();
  }
  if (local == 0u) {
    let pair = 2u * (slot * params.batch + b);
    spikeIndex[pair] = start;
    spikeIndex[pair + 1u] = base;
  }
}
