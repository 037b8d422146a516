// Gated activations; an invocation per element.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  count: u32,
  gelu: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> gate: array<f32>;
@group(0) @binding(2) var<storage, read> up: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn gatedRows(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP_SIZE + local;
  if (i >= params.count) {
    return;
  }
  let g = gate[i];
  let power = select(-g, -1.5957691216 * (g + 0.044715 * g * g * g), params.gelu != 0u);
  gate[i] = g / (1.0 + exp(clamp(power, -87.0, 88.0))) * up[i];
}
