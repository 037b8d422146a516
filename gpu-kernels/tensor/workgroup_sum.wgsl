// How the 64 invocations of rms_norm.wgsl add up what they have: through workgroup memory.
var<workgroup> partial: array<f32, WORKGROUP_SIZE>;
var<workgroup> quads: array<f32, WORKGROUP_SIZE / 4u>;

fn fourQuads(first: u32) -> f32 {
  return (quads[first] + quads[first + 1u]) + (quads[first + 2u] + quads[first + 3u]);
}

/** Sum over the workgroup of 64, neighbours first as in workgroup_sum.subgroups.wgsl; every invocation gets it. */
fn workgroupSum(value: f32, local: u32) -> f32 {
  partial[local] = value;
  workgroupBarrier();
  if (local < WORKGROUP_SIZE / 4u) {
    let first = 4u * local;
    quads[local] = (partial[first] + partial[first + 1u]) + (partial[first + 2u] + partial[first + 3u]);
  }
  workgroupBarrier();
  return (fourQuads(0u) + fourQuads(4u)) + (fourQuads(8u) + fourQuads(12u));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rmsNormF32(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  normalise(local, group);
}
