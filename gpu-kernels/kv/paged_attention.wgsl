// Attention over the blocks of a sequence; a workgroup per (token, head). Positions are taken in tiles of WORKGROUP_SIZE: first an invocation
// per position for the scores, then an invocation per elements of the head for the weighted values.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  heads: u32,
  kvHeads: u32,
  headSize: u32,
  blockSize: u32,
  tableWidth: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> keys: array<f32>;
@group(0) @binding(3) var<storage, read> values: array<f32>;
@group(0) @binding(4) var<storage, read> tables: array<u32>;
@group(0) @binding(5) var<storage, read> sequences: array<u32>;
@group(0) @binding(6) var<storage, read> positions: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

// Elements of a head per invocation: heads have at most 256.
const SHARES: u32 = 256u / 64u;
var<workgroup> scores: array<f32, WORKGROUP_SIZE>;
var<workgroup> places: array<u32, WORKGROUP_SIZE>;
var<workgroup> reduced: array<f32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn pagedAttentionF32(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let head = params.headSize;
  let token = group.x;
  let kvHead = group.y / (params.heads / params.kvHeads);
  let query = (token * params.heads + group.y) * head;
  let row = sequences[token] * params.tableWidth;
  let count = min(positions[token] + 1u, params.tableWidth * params.blockSize);
  var highest = -3.0e38;
  var sum = 0.0;
  var result = array<f32, SHARES>();
  for (var first = 0u; first < count; first += WORKGROUP_SIZE) {
    let j = first + local;
    var score = -3.0e38;
    var place = 0u;
    if (j < count) {
      let page = tables[row + j / params.blockSize];
      let within = j % params.blockSize;
      let start = (page * params.kvHeads + kvHead) * params.blockSize;
      place = (start + within) * head;
      score = 0.0;
      for (var i = 0u; i < head; i++) {
        score += q[query + i] * keys[place + i];
      }
      score *= params.scale;
    }
    places[local] = place;
    reduced[local] = score;
    workgroupBarrier();
    for (var span = WORKGROUP_SIZE / 2u; span > 0u; span /= 2u) {
      if (local < span) {
        reduced[local] = max(reduced[local], reduced[local + span]);
      }
      workgroupBarrier();
    }
    let now = max(highest, reduced[0]);
    scores[local] = select(0.0, exp(max(score - now, -87.0)), j < count);
    workgroupBarrier();
    let shrink = exp(max(highest - now, -87.0));
    highest = now;
    sum *= shrink;
    for (var s = 0u; s < SHARES; s++) {
      result[s] *= shrink;
    }
    let tile = min(WORKGROUP_SIZE, count - first);
    for (var p = 0u; p < tile; p++) {
      let weight = scores[p];
      sum += weight;
      for (var s = 0u; s < SHARES; s++) {
        let i = local + s * WORKGROUP_SIZE;
        if (i < head) {
          result[s] += weight * values[places[p] + i];
        }
      }
    }
    workgroupBarrier();
  }
  for (var s = 0u; s < SHARES; s++) {
    let i = local + s * WORKGROUP_SIZE;
    if (i < head) {
      out[query + i] = result[s] / sum;
    }
  }
}
