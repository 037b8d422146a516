// Class potentials, softmax cross-entropy and the gradient by one hidden spike; one invocation per sample.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  batch: u32,
  neurons: u32,
  classes: u32,
  scale: f32,
  smoothing: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> count: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> delta: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(6) var<storage, read_write> loss: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn readoutLoss(@builtin(global_invocation_id) id: vec3u) {
  let b = id.x;
  if (b >= params.batch) {
    return;
  }
  let classes = params.classes;
  let hidden = b * params.neurons;
  let row = b * classes;
  var highest = -3.0e38;
  for (var c = 0u; c < classes; c++) {
    var sum = 0.0;
    for (var n = 0u; n < params.neurons; n++) {
      sum += count[hidden + n] * weights[n * classes + c];
    }
    delta[row + c] = sum * params.scale;
    highest = max(highest, delta[row + c]);
  }
  var total = 0.0;
  for (var c = 0u; c < classes; c++) {
    total += exp(delta[row + c] - highest);
  }
  let logTotal = log(total);
  var lost = 0.0;
  for (var c = 0u; c < classes; c++) {
    let shifted = delta[row + c] - highest;
    let wanted = select(0.0, 1.0 - params.smoothing, c == labels[b]) + params.smoothing / f32(classes);
    lost += wanted * (logTotal - shifted);
    delta[row + c] = exp(shifted) / total - wanted;
  }
  loss[b] = lost;
  for (var n = 0u; n < params.neurons; n++) {
    var sum = 0.0;
    for (var c = 0u; c < classes; c++) {
      sum += delta[row + c] * weights[n * classes + c];
    }
    gradient[hidden + n] = sum * params.scale;
  }
}
