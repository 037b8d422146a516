// Weight gradient of a spike-fed layer. An invocation owns one column, so rows are added in list order without atomics.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  lists: u32,
  pres: u32,
  neurons: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> spikeIndex: array<u32>;
@group(0) @binding(2) var<storage, read> spikeIds: array<u32>;
@group(0) @binding(3) var<storage, read> delta: array<f32>;
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn spikeOuterRows(@builtin(global_invocation_id) id: vec3u) {
  let n = id.x;
  if (n >= params.neurons) {
    return;
  }
  for (var p = 0u; p < params.pres; p++) {
    gradient[p * params.neurons + n] = 0.0;
  }
  for (var l = 0u; l < params.lists; l++) {
    let start = spikeIndex[2u * l];
    let end = start + spikeIndex[2u * l + 1u];
    let d = delta[l * params.neurons + n];
    for (var k = start; k < end; k++) {
      gradient[spikeIds[k] * params.neurons + n] += d;
    }
  }
}
