// From one bit per neuron to ascending lists of ids; one workgroup per sample. Prefix sums within a subgroup by hardware, over
// subgroups in workgroup memory. Subgroups number themselves, so nothing depends on how invocations are dealt to subgroups
// or on the subgroup size (4 to 128).

override WORKGROUP_SIZE: u32 = 128u;

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

var<workgroup> subgroupSums: array<u32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn spikeCompact(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_size) size: u32,
) {
  let mySubgroup = subgroupNumber();
  let b = group.y;
  let neurons = params.neurons;
  let words = (neurons + 31u) / 32u;
  let slot = u32(i32(params.step) - params.origin) % params.slots;
  let start = (slot * params.batch + b) * neurons;
  var base = 0u;
  for (var first = 0u; first < words; first += WORKGROUP_SIZE) {
    let w = first + mySubgroup * size + lane;
    var word = 0u;
    if (w < words) {
      word = spikeBits[b * words + w];
    }
    let mine = countOneBits(word);
    let before = subgroupExclusiveAdd(mine);
    let all = subgroupAdd(mine);
    if (subgroupElect()) {
      subgroupSums[mySubgroup] = all;
    }
    workgroupBarrier();
    var at = start + base + before;
    let subgroups = atomicLoad(&subgroupCount);
    var total = 0u;
    for (var s = 0u; s < subgroups; s++) {
      if (s < mySubgroup) {
        at += subgroupSums[s];
      }
      total += subgroupSums[s];
    }
    while (word != 0u) {
      let id = w * 32u + firstTrailingBit(word);
      word &= word - 1u;
      spikeIds[at] = id;
      at++;
      totals[b * neurons + id] += 1u;
    }
    base += total;
    workgroupBarrier();
  }
  if (local == 0u) {
    let pair = 2u * (slot * params.batch + b);
    spikeIndex[pair] = start;
    spikeIndex[pair + 1u] = base;
  }
}
