// Root-mean-square normalisation; a workgroup per row. Sums within a quad by hardware, then over the sixteen quads, in the order of
// rms_norm.wgsl whatever the subgroup size (4 to 128). Subgroups number themselves, so nothing depends on how invocations are dealt to them.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  width: u32,
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

var<workgroup> subgroupCount: atomic<u32>;
var<workgroup> quads: array<f32, WORKGROUP_SIZE / 4u>;

fn quadSum(value: f32) -> f32 {
  let pair = value + quadSwapX(value);
  return pair + quadSwapY(pair);
}

/** Sum over the workgroup of 64; every invocation gets it. */
fn workgroupSum(value: f32, at: u32) -> f32 {
  quads[at / 4u] = quadSum(value);
  workgroupBarrier();
  let four = (at % 4u) * 4u;
  return quadSum((quads[four] + quads[four + 1u]) + (quads[four + 2u] + quads[four + 3u]));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rmsNormF32(
  @builtin(workgroup_id) group: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_size) size: u32,
) {
  var mySubgroup = 0u;
  if (subgroupElect()) {
    mySubgroup = atomicAdd(&subgroupCount, 1u);
  }
  let at = subgroupBroadcastFirst(mySubgroup) * size + lane;
  let row = group.y * params.width;
  var squares = 0.0;
  for (var i = at; i < params.width; i += WORKGROUP_SIZE) {
    squares += x[row + i] * x[row + i];
  }
  let scale = 1.0 / sqrt(workgroupSum(squares, at) / f32(params.width) + params.epsilon);
  for (var i = at; i < params.width; i += WORKGROUP_SIZE) {
    y[row + i] = x[row + i] * scale * weight[i];
  }
}
