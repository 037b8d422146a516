// Where each row is largest, the first place where there are several; a workgroup per row.
override WORKGROUP_SIZE: u32 = 256u;

struct Params {
  step: u32,
  rows: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

var<workgroup> values: array<f32, WORKGROUP_SIZE>;
var<workgroup> places: array<u32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn argmaxRows(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let row = group.y * params.width;
  // Lower than any logit; an invocation that sees none has the last place, so that it never wins a tie.
  var highest = -3.4028234e38;
  var best = 0xffffffffu;
  for (var i = local; i < params.width; i += WORKGROUP_SIZE) {
    let value = x[row + i];
    if (value > highest) {
      highest = value;
      best = i;
    }
  }
  values[local] = highest;
  places[local] = best;
  workgroupBarrier();
  for (var span = WORKGROUP_SIZE / 2u; span > 0u; span /= 2u) {
    if (local < span) {
      let other = values[local + span];
      let ahead = other > values[local] || (other == values[local] && places[local + span] < places[local]);
      values[local] = select(values[local], other, ahead);
      places[local] = select(places[local], places[local + span], ahead);
    }
    workgroupBarrier();
  }
  if (local == 0u) {
    out[group.y] = select(places[0], 0u, places[0] == 0xffffffffu);
  }
}
