// Convolutions of 3 x 3; an invocation per point and channel, channels within a workgroup.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  images: u32,
  height: u32,
  width: u32,
  inChannels: u32,
  outChannels: u32,
  upsample: u32,
  activation: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn activate(value: f32) -> f32 {
  if (params.activation == 0u) {
    return value;
  }
  let cube = value * value * value;
  let power = select(-value, -1.5957691216 * (value + 0.044715 * cube), params.activation == 2u);
  return value / (1.0 + exp(clamp(power, -87.0, 88.0)));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn convolvePoints(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let n = group.x * WORKGROUP_SIZE + local;
  if (n >= params.outChannels) {
    return;
  }
  let channels = params.inChannels;
  let panel = (n / 8u) * 72u * channels + n % 8u;
  let across = params.width / params.upsample;
  let image = (group.z / params.height) * (params.height / params.upsample);
  var sum = 0.0;
  for (var tap = 0u; tap < 9u; tap++) {
    // Above and left of the picture these numbers wrap and are past its end.
    let row = group.z % params.height + tap / 3u - 1u;
    let column = group.y + tap % 3u - 1u;
    if (row >= params.height || column >= params.width) {
      continue;
    }
    let start = ((image + row / params.upsample) * across + column / params.upsample) * channels;
    for (var c = 0u; c < channels; c++) {
      sum += x[start + c] * weights[panel + (tap * channels + c) * 8u];
    }
  }
  y[((group.z * params.width) + group.y) * params.outChannels + n] = activate(sum + bias[n]);
}
