// From one bit per neuron to ascending lists of ids; one workgroup per sample, a prefix sum over its words in workgroup
// memory. Variant without subgroup operations.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  neurons: u32,
  slots: u32,
  origin: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> spikeBits: array<u32>;
@group(0) @binding(2) var<storage, read_write> spikeIndex: array<u32>;
@group(0) @binding(3) var<storage, read_write> spikeIds: array<u32>;
@group(0) @binding(4) var<storage, read_write> totals: array<u32>;

var<workgroup> sums: array<u32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn spikeCompact(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let b = group.y;
  let neurons = params.neurons;
  let words = (neurons + 31u) / 32u;
  let slot = u32(i32(params.step) - params.origin) % params.slots;
  let start = (slot * params.batch + b) * neurons;
  var base = 0u;
  for (var first = 0u; first < words; first += WORKGROUP_SIZE) {
    let w = first + local;
    var word = 0u;
    if (w < words) {
      word = spikeBits[b * words + w];
    }
    let mine = countOneBits(word);
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
    var at = start + base + sums[local] - mine;
    while (word != 0u) {
      let id = w * 32u + firstTrailingBit(word);
      word &= word - 1u;
      spikeIds[at] = id;
      at++;
      totals[b * neurons + id] += 1u;
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
