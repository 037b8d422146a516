// Spikes per pre-synaptic neuron in this step; one workgroup per sample.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  pres: u32,
  slots: u32,
  delay: u32,
  origin: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> spikeIndex: array<u32>;
@group(0) @binding(2) var<storage, read> spikeIds: array<u32>;
@group(0) @binding(3) var<storage, read_write> flags: array<atomic<u32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn spikeFlags(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let b = group.y;
  for (var n = local; n < params.pres; n += WORKGROUP_SIZE) {
    atomicStore(&flags[b * params.pres + n], 0u);
  }
  storageBarrier();
  let t = i32(params.step) - params.origin - i32(params.delay);
  if (t < 0) {
    return;
  }
  let pair = 2u * ((u32(t) % params.slots) * params.batch + b);
  let start = spikeIndex[pair];
  let count = spikeIndex[pair + 1u];
  for (var k = local; k < count; k += WORKGROUP_SIZE) {
    atomicAdd(&flags[b * params.pres + spikeIds[start + k]], 1u);
  }
}
