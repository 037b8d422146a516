// Rows of activations as 16-bit numbers with a scale each, and sums of 32 of them; a workgroup per row, an invocation per 32 numbers.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  inner: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> q: array<u32>;
@group(0) @binding(3) var<storage, read_write> scales: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

var<workgroup> partial: array<f32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn quantiseRows(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let row = group.y * params.inner;
  var largest = 0.0;
  for (var i = local; i < params.inner; i += WORKGROUP_SIZE) {
    largest = max(largest, abs(x[row + i]));
  }
  partial[local] = largest;
  workgroupBarrier();
  for (var span = WORKGROUP_SIZE / 2u; span > 0u; span /= 2u) {
    if (local < span) {
      partial[local] = max(partial[local], partial[local + span]);
    }
    workgroupBarrier();
  }
  largest = partial[0];
  let exponent = bitcast<u32>(largest) >> 23u;
  let inverse = bitcast<f32>(select((267u - exponent) << 23u, 0u, exponent <= 13u));
  if (local == 0u) {
    scales[group.y] = bitcast<f32>(select((exponent - 13u) << 23u, 0u, exponent <= 13u));
  }
  for (var part = local; part < params.inner / 32u; part += WORKGROUP_SIZE) {
    let first = row + part * 32u;
    var sum = 0;
    for (var k = 0u; k < 16u; k++) {
      let a = i32(round(x[first + 2u * k] * inverse));
      let b = i32(round(x[first + 2u * k + 1u] * inverse));
      sum += a + b;
      q[(first >> 1u) + k] = (u32(a) & 0xffffu) | (u32(b) << 16u);
    }
    sums[first / 32u] = f32(sum);
  }
}
