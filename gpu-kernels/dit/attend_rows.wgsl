// Attention of rows of queries; a workgroup per (query, head, sequence). Keys are taken in tiles of WORKGROUP_SIZE: first an invocation per key for the scores, then an
// invocation per elements of the head for the weighted values.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  sequences: u32,
  queries: u32,
  keys: u32,
  heads: u32,
  headSize: u32,
  qSequence: u32,
  qFirst: u32,
  qStride: u32,
  qBegin: u32,
  vSequence: u32,
  vFirst: u32,
  vStride: u32,
  vBegin: u32,
  oSequence: u32,
  oFirst: u32,
  oStride: u32,
  oBegin: u32,
  begins: u32,
  ends: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> panels: array<f32>;
@group(0) @binding(3) var<storage, read> values: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

// Elements of a head per invocation: heads have at most 256.
const SHARES: u32 = 256u / 64u;
var<workgroup> scores: array<f32, WORKGROUP_SIZE>;
var<workgroup> reduced: array<f32, WORKGROUP_SIZE>;
var<workgroup> queryOf: array<f32, 256>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn attendRows(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let size = params.headSize;
  let begin = group.y * size;
  let query = (group.z * params.qSequence + params.qFirst + group.x) * params.qStride + params.qBegin + begin;
  let result = (group.z * params.oSequence + params.oFirst + group.x) * params.oStride + params.oBegin + begin;
  let value = (group.z * params.vSequence + params.vFirst) * params.vStride + params.vBegin + begin;
  let panel = (group.z * params.heads + group.y) * ((params.keys + 7u) / 8u) * 8u * size;
  let place = ((group.z * params.queries + group.x) * params.heads + group.y) * 2u;
  for (var i = local; i < size; i += WORKGROUP_SIZE) {
    queryOf[i] = q[query + i];
  }
  var highest = -3.0e38;
  var sum = 0.0;
  var sums = array<f32, SHARES>();
  if (params.begins == 0u) {
    highest = state[place];
    sum = state[place + 1u];
    for (var s = 0u; s < SHARES; s++) {
      let i = local + s * WORKGROUP_SIZE;
      if (i < size) {
        sums[s] = out[result + i];
      }
    }
  }
  workgroupBarrier();
  for (var first = 0u; first < params.keys; first += WORKGROUP_SIZE) {
    let j = first + local;
    var score = -3.0e38;
    if (j < params.keys) {
      let key = panel + (j / 8u) * 8u * size + j % 8u;
      score = 0.0;
      for (var i = 0u; i < size; i++) {
        score += queryOf[i] * panels[key + i * 8u];
      }
      score *= params.scale;
    }
    reduced[local] = score;
    workgroupBarrier();
    for (var span = WORKGROUP_SIZE / 2u; span > 0u; span /= 2u) {
      if (local < span) {
        reduced[local] = max(reduced[local], reduced[local + span]);
      }
      workgroupBarrier();
    }
    let now = max(highest, reduced[0]);
    scores[local] = select(0.0, exp(max(score - now, -87.0)), j < params.keys);
    workgroupBarrier();
    let shrink = exp(max(highest - now, -87.0));
    highest = now;
    sum *= shrink;
    for (var s = 0u; s < SHARES; s++) {
      sums[s] *= shrink;
    }
    let tile = min(WORKGROUP_SIZE, params.keys - first);
    for (var p = 0u; p < tile; p++) {
      let weight = scores[p];
      sum += weight;
      let row = value + (first + p) * params.vStride;
      for (var s = 0u; s < SHARES; s++) {
        let i = local + s * WORKGROUP_SIZE;
        if (i < size) {
          sums[s] += weight * values[row + i];
        }
      }
    }
    workgroupBarrier();
  }
  for (var s = 0u; s < SHARES; s++) {
    let i = local + s * WORKGROUP_SIZE;
    if (i < size) {
      out[result + i] = select(sums[s], sums[s] / sum, params.ends != 0u);
    }
  }
  if (local == 0u) {
    state[place] = highest;
    state[place + 1u] = sum;
  }
}
