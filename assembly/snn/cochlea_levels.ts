// Sound through a bank of resonators to log envelopes: four channels to a vector, then the rest one by one.
import { sampleBegin, sampleEnd, neuronBegin, neuronEnd } from './share';

/** args: sound, coefficients, levels, batch, channels, frames, hop */
export function cochleaLevels(args: usize, step: i32, thread: i32, threads: i32): void {
  const sound = load<u32>(args);
  const coefficients = load<u32>(args, 4);
  const levels = load<u32>(args, 8);
  const batch = load<i32>(args, 12);
  const channels = load<i32>(args, 16);
  const frames = load<i32>(args, 20);
  const hop = load<i32>(args, 24);
  const row = <usize>channels << 2;
  const from = neuronBegin(batch, channels, 4, thread, threads);
  const to = neuronEnd(batch, channels, 4, thread, threads);
  const half = i32x4.splat(2048);
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const samples = sound + ((<usize>b * <usize>frames * <usize>hop) << 2);
    let c = from;
    for (; c + 4 <= to; c += 4) {
      const constants = coefficients + (<usize>c << 2);
      const gain = v128.load(constants);
      const a1 = v128.load(constants + row);
      const a2 = v128.load(constants + 2 * row);
      let x1 = i32x4.splat(0);
      let x2 = x1;
      let y1 = x1;
      let y2 = x1;
      let z1 = x1;
      let z2 = x1;
      let envelope = x1;
      let at = samples;
      for (let frame = 0; frame < frames; frame++) {
        for (let i = 0; i < hop; i++) {
          const x = v128.load32_splat(at);
          at += 4;
          let y = i32x4.add(i32x4.mul(gain, i32x4.sub(x, x2)), half);
          y = i32x4.add(y, i32x4.add(i32x4.mul(a1, y1), i32x4.mul(a2, y2)));
          y = i32x4.shr_s(y, 12);
          let z = i32x4.add(i32x4.mul(gain, i32x4.sub(y, y2)), half);
          z = i32x4.add(z, i32x4.add(i32x4.mul(a1, z1), i32x4.mul(a2, z2)));
          z = i32x4.shr_s(z, 12);
          x2 = x1;
          x1 = x;
          y2 = y1;
          y1 = y;
          z2 = z1;
          z1 = z;
          const rectified = i32x4.shl(i32x4.abs(z), 6);
          envelope = i32x4.add(envelope, i32x4.shr_s(i32x4.sub(rectified, envelope), 6));
        }
        const out = levels + ((<usize>(frame * batch + b) * <usize>channels + <usize>c) << 2);
        store<i32>(out, level(i32x4.extract_lane(envelope, 0)));
        store<i32>(out, level(i32x4.extract_lane(envelope, 1)), 4);
        store<i32>(out, level(i32x4.extract_lane(envelope, 2)), 8);
        store<i32>(out, level(i32x4.extract_lane(envelope, 3)), 12);
      }
    }
    for (; c < to; c++) {
      const constants = coefficients + (<usize>c << 2);
      const gain = load<i32>(constants);
      const a1 = load<i32>(constants + row);
      const a2 = load<i32>(constants + 2 * row);
      let x1 = 0;
      let x2 = 0;
      let y1 = 0;
      let y2 = 0;
      let z1 = 0;
      let z2 = 0;
      let envelope = 0;
      let at = samples;
      for (let frame = 0; frame < frames; frame++) {
        for (let i = 0; i < hop; i++) {
          const x = load<i32>(at);
          at += 4;
          const y = (gain * (x - x2) + a1 * y1 + a2 * y2 + 2048) >> 12;
          const z = (gain * (y - y2) + a1 * z1 + a2 * z2 + 2048) >> 12;
          x2 = x1;
          x1 = x;
          y2 = y1;
          y1 = y;
          z2 = z1;
          z1 = z;
          envelope += (((z < 0 ? -z : z) << 6) - envelope) >> 6;
        }
        store<i32>(levels + ((<usize>(frame * batch + b) * <usize>channels + <usize>c) << 2), level(envelope));
      }
    }
  }
}

function level(envelope: i32): i32 {
  if (envelope < 1) return 0;
  const octave = 31 - clz(envelope);
  const rest = envelope - (1 << octave);
  return 16 * octave + (octave >= 4 ? rest >> (octave - 4) : rest << (4 - octave));
}
