// Attention of rows of queries; an invocation per (query, head, sequence), which takes a panel of eight keys at a time. Neighbours read the same keys and values at the same time.
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
@group(0) @binding(2) var<storage, read> panels: array<vec4f>;
@group(0) @binding(3) var<storage, read> values: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn attendRows(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let t = group.x * WORKGROUP_SIZE + local;
  if (t >= params.queries) {
    return;
  }
  let size = params.headSize;
  let begin = group.y * size;
  let query = (group.z * params.qSequence + params.qFirst + t) * params.qStride + params.qBegin + begin;
  let result = (group.z * params.oSequence + params.oFirst + t) * params.oStride + params.oBegin + begin;
  let value = (group.z * params.vSequence + params.vFirst) * params.vStride + params.vBegin + begin;
  let ofHead = (params.keys + 7u) / 8u;
  let place = ((group.z * params.queries + t) * params.heads + group.y) * 2u;
  var highest = -3.0e38;
  var sum = 0.0;
  // Heads have at most 256 elements.
  var sums = array<vec4f, 64>();
  if (params.begins == 0u) {
    highest = state[place];
    sum = state[place + 1u];
    for (var i = 0u; i < size; i += 4u) {
      let at = result + i;
      sums[i / 4u] = vec4f(out[at], out[at + 1u], out[at + 2u], out[at + 3u]);
    }
  }
  for (var p = 0u; p < ofHead; p++) {
    // A panel: the scores of eight keys, and their weights.
    var key = ((group.z * params.heads + group.y) * ofHead + p) * size * 2u;
    var low = vec4f();
    var high = vec4f();
    for (var i = 0u; i < size; i++) {
      let element = q[query + i];
      low += element * panels[key];
      high += element * panels[key + 1u];
      key += 2u;
    }
    let index = vec4u(p * 8u) + vec4u(0u, 1u, 2u, 3u);
    let lowest = vec4f(-3.0e38);
    let there = index < vec4u(params.keys);
    let thereToo = index + vec4u(4u) < vec4u(params.keys);
    low = select(lowest, low * params.scale, there);
    high = select(lowest, high * params.scale, thereToo);
    let most = max(low, high);
    let now = max(highest, max(max(most.x, most.y), max(most.z, most.w)));
    let shrink = exp(max(highest - now, -87.0));
    highest = now;
    low = select(vec4f(), exp(max(low - now, vec4f(-87.0))), there);
    high = select(vec4f(), exp(max(high - now, vec4f(-87.0))), thereToo);
    let both = low + high;
    sum = sum * shrink + (both.x + both.y + (both.z + both.w));
    let count = min(8u, params.keys - p * 8u);
    let firstRow = value + p * 8u * params.vStride;
    for (var i = 0u; i < size; i += 4u) {
      var four = sums[i / 4u] * shrink;
      var at = firstRow + i;
      for (var j = 0u; j < count; j++) {
        let weight = select(high[j % 4u], low[j % 4u], j < 4u);
        four += weight * vec4f(values[at], values[at + 1u], values[at + 2u], values[at + 3u]);
        at += params.vStride;
      }
      sums[i / 4u] = four;
    }
  }
  let share = select(1.0, 1.0 / sum, params.ends != 0u);
  for (var i = 0u; i < size; i += 4u) {
    let four = sums[i / 4u] * share;
    for (var c = 0u; c < 4u; c++) {
      out[result + i + c] = four[c];
    }
  }
  state[place] = highest;
  state[place + 1u] = sum;
}
