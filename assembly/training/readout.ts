// The read-out layer: class potentials from spike counts, cross-entropy, and the gradients that flow back. Threads split
// the samples (loss) or the hidden neurons (gradient).

/** args: count, weights, labels, delta, gradient, loss, batch, neurons, classes, scale, smoothing */
export function readoutLoss(args: usize, step: i32, thread: i32, threads: i32): void {
  const count = load<u32>(args);
  const weights = load<u32>(args, 4);
  const labels = load<u32>(args, 8);
  const delta = load<u32>(args, 12);
  const gradient = load<u32>(args, 16);
  const loss = load<u32>(args, 20);
  const batch = load<i32>(args, 24);
  const neurons = load<i32>(args, 28);
  const classes = load<i32>(args, 32);
  const scale = load<f32>(args, 36);
  const smoothing = load<f32>(args, 40);
  const begin = <i32>((<i64>batch * thread) / threads);
  const end = <i32>((<i64>batch * (thread + 1)) / threads);
  const rowBytes = <usize>classes << 2;
  for (let b = begin; b < end; b++) {
    const d = delta + <usize>b * rowBytes;
    const z = count + ((<usize>b * <usize>neurons) << 2);
    for (let c: usize = 0; c < rowBytes; c += 4) store<f32>(d + c, 0);
    for (let n = 0; n < neurons; n++) {
      const spikes = load<f32>(z + (<usize>n << 2));
      if (spikes == 0) continue;
      const w = weights + <usize>n * rowBytes;
      for (let c: usize = 0; c < rowBytes; c += 4) store<f32>(d + c, load<f32>(d + c) + spikes * load<f32>(w + c));
    }
    let highest: f32 = -Infinity;
    for (let c: usize = 0; c < rowBytes; c += 4) {
      const logit = load<f32>(d + c) * scale;
      store<f32>(d + c, logit);
      highest = max(highest, logit);
    }
    let total: f32 = 0;
    for (let c: usize = 0; c < rowBytes; c += 4) total += exponential(load<f32>(d + c) - highest);
    const label = load<i32>(labels + (<usize>b << 2));
    const spread = smoothing / <f32>classes;
    let lost: f32 = 0;
    const logTotal = logarithm(total);
    for (let c = 0; c < classes; c++) {
      const at = d + (<usize>c << 2);
      const shifted = load<f32>(at) - highest;
      const wanted = (c == label ? <f32>1 - smoothing : <f32>0) + spread;
      lost += wanted * (logTotal - shifted);
      store<f32>(at, exponential(shifted) / total - wanted);
    }
    store<f32>(loss + (<usize>b << 2), lost);
    const g = gradient + ((<usize>b * <usize>neurons) << 2);
    for (let n = 0; n < neurons; n++) {
      const w = weights + <usize>n * rowBytes;
      let sum: f32 = 0;
      for (let c: usize = 0; c < rowBytes; c += 4) sum += load<f32>(d + c) * load<f32>(w + c);
      store<f32>(g + (<usize>n << 2), sum * scale);
    }
  }
}

/** args: count, delta, weightGradient, batch, neurons, classes */
export function readoutGradient(args: usize, step: i32, thread: i32, threads: i32): void {
  const count = load<u32>(args);
  const delta = load<u32>(args, 4);
  const weightGradient = load<u32>(args, 8);
  const batch = load<i32>(args, 12);
  const neurons = load<i32>(args, 16);
  const rowBytes = <usize>load<i32>(args, 20) << 2;
  const begin = <i32>((<i64>neurons * thread) / threads);
  const end = <i32>((<i64>neurons * (thread + 1)) / threads);
  memory.fill(weightGradient + <usize>begin * rowBytes, 0, <usize>(end - begin) * rowBytes);
  for (let b = 0; b < batch; b++) {
    const d = delta + <usize>b * rowBytes;
    const z = count + ((<usize>b * <usize>neurons) << 2);
    for (let n = begin; n < end; n++) {
      const spikes = load<f32>(z + (<usize>n << 2));
      if (spikes == 0) continue;
      const w = weightGradient + <usize>n * rowBytes;
      for (let c: usize = 0; c < rowBytes; c += 4) store<f32>(w + c, load<f32>(w + c) + spikes * load<f32>(d + c));
    }
  }
}

// exp and ln from multiplications and additions only, so that they need no tables: data segments of several modules in one
// memory would collide. Relative error below 3e-7 in the range that a softmax uses.

const LN2: f32 = 0.6931471805599453;

function exponential(x: f32): f32 {
  if (x < -87) return 0;
  const k = nearest<f32>(x / LN2);
  const r = x - k * LN2;
  let p: f32 = 1.0 / 5040;
  p = p * r + <f32>(1.0 / 720);
  p = p * r + <f32>(1.0 / 120);
  p = p * r + <f32>(1.0 / 24);
  p = p * r + <f32>(1.0 / 6);
  p = p * r + <f32>0.5;
  p = p * r + 1;
  p = p * r + 1;
  return p * reinterpret<f32>((<i32>k + 127) << 23);
}

/** Natural logarithm of a positive normal number. */
function logarithm(x: f32): f32 {
  const bits = reinterpret<i32>(x);
  let exponent = ((bits >> 23) & 255) - 127;
  let m = reinterpret<f32>((bits & 0x7fffff) | 0x3f800000);
  if (m > 1.4142135) {
    m *= 0.5;
    exponent++;
  }
  const s = (m - 1) / (m + 1);
  const q = s * s;
  const series = s * (2 + q * (<f32>(2.0 / 3) + q * (<f32>(2.0 / 5) + q * (<f32>(2.0 / 7) + q * <f32>(2.0 / 9)))));
  return <f32>exponent * LN2 + series;
}
