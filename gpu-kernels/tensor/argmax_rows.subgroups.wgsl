// Where each row is largest, the first place where there are several; a workgroup per row. Maxima of a subgroup by hardware, then over
// subgroups in workgroup memory. The order does not matter to maxima, so any subgroup size will do.
override WORKGROUP_SIZE: u32 = 256u;

struct Params {
  step: u32,
  rows: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

// Of each subgroup; there are at least four invocations to one.
var<workgroup> values: array<f32, WORKGROUP_SIZE / 4u>;
var<workgroup> places: array<u32, WORKGROUP_SIZE / 4u>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn argmaxRows(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
  let mySubgroup = subgroupNumber();
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
  let most = subgroupMax(highest);
  let place = subgroupMin(select(0xffffffffu, best, highest == most));
  if (subgroupElect()) {
    values[mySubgroup] = most;
    places[mySubgroup] = place;
  }
  workgroupBarrier();
  if (local == 0u) {
    highest = values[0];
    best = places[0];
    let subgroups = atomicLoad(&subgroupCount);
    for (var s = 1u; s < subgroups; s++) {
      if (values[s] > highest || (values[s] == highest && places[s] < best)) {
        highest = values[s];
        best = places[s];
      }
    }
    out[group.y] = select(best, 0u, best == 0xffffffffu);
  }
}
