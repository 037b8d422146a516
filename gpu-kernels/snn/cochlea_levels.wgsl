// Sound through a bank of resonators to log envelopes; one invocation per channel, recordings on workgroup_id.y.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  channels: u32,
  frames: u32,
  hop: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sound: array<i32>;
@group(0) @binding(2) var<storage, read> coefficients: array<i32>;
@group(0) @binding(3) var<storage, read_write> levels: array<i32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn cochleaLevels(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  if (id.x >= params.channels) {
    return;
  }
  let gain = coefficients[id.x];
  let a1 = coefficients[params.channels + id.x];
  let a2 = coefficients[2u * params.channels + id.x];
  var x1 = 0;
  var x2 = 0;
  var y1 = 0;
  var y2 = 0;
  var z1 = 0;
  var z2 = 0;
  var envelope = 0;
  var at = group.y * params.frames * params.hop;
  for (var frame = 0u; frame < params.frames; frame++) {
    for (var i = 0u; i < params.hop; i++) {
      let x = sound[at];
      at++;
      let y = (gain * (x - x2) + a1 * y1 + a2 * y2 + 2048) >> 12u;
      let z = (gain * (y - y2) + a1 * z1 + a2 * z2 + 2048) >> 12u;
      x2 = x1;
      x1 = x;
      y2 = y1;
      y1 = y;
      z2 = z1;
      z1 = z;
      envelope += ((abs(z) << 6u) - envelope) >> 6u;
    }
    levels[(frame * params.batch + group.y) * params.channels + id.x] = level(envelope);
  }
}

fn level(envelope: i32) -> i32 {
  if (envelope < 1) {
    return 0;
  }
  let octave = 31u - countLeadingZeros(u32(envelope));
  let rest = envelope - (1 << octave);
  return 16 * i32(octave) + select(rest << (4u - min(octave, 4u)), rest >> (max(octave, 4u) - 4u), octave >= 4u);
}
