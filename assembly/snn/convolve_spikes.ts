// Event-driven convolution: every spike adds the kernel at its place. Where threads split, they split the output channels.
import { arrivingSlot, sampleBegin, sampleEnd } from './share';

/**
 * args: spikeIndex, spikeIds, weights, input, batch, slots, delay, inputStride, inputOffset, inChannels, inHeight, inWidth,
 * outChannels, outHeight, outWidth, kernelHeight, kernelWidth, strideY, strideX, padY, padX, origin, shift
 */
export function convolveSpikesF32(args: usize, step: i32, thread: i32, threads: i32): void {
  convolveSpikes<f32>(args, step, thread, threads);
}

/** args: as convolveSpikesF32 */
export function convolveSpikesI8(args: usize, step: i32, thread: i32, threads: i32): void {
  convolveSpikes<i8>(args, step, thread, threads);
}

// @ts-ignore: decorator
@inline
function convolveSpikes<W>(args: usize, step: i32, thread: i32, threads: i32): void {
  const batch = load<i32>(args, 16);
  const slot = arrivingSlot(step, load<i32>(args, 84), load<i32>(args, 24), load<i32>(args, 20));
  if (slot < 0) return;
  const inHeight = load<i32>(args, 40);
  const inWidth = load<i32>(args, 44);
  const outChannels = load<i32>(args, 48);
  const outHeight = load<i32>(args, 52);
  const outWidth = load<i32>(args, 56);
  const kernelHeight = load<i32>(args, 60);
  const kernelWidth = load<i32>(args, 64);
  const strideY = load<i32>(args, 68);
  const strideX = load<i32>(args, 72);
  const padY = load<i32>(args, 76);
  const padX = load<i32>(args, 80);
  const shift = load<i32>(args, 88);
  const split = batch < threads;
  const from = split ? <i32>((<i64>outChannels * thread) / threads) : 0;
  const to = split ? <i32>((<i64>outChannels * (thread + 1)) / threads) : outChannels;
  const mapBytes = (<usize>outHeight * <usize>outWidth) << 2;
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const pair = load<u32>(args) + (<usize>(slot * batch + b) << 3);
    let spike = load<u32>(args, 4) + (<usize>load<u32>(pair) << 2);
    const last = spike + (<usize>load<u32>(pair, 4) << 2);
    const target = load<u32>(args, 12) + ((<usize>b * <usize>load<u32>(args, 28) + <usize>load<u32>(args, 32)) << 2);
    for (; spike < last; spike += 4) {
      const id = load<i32>(spike);
      const x = id % inWidth;
      const y = (id / inWidth) % inHeight;
      const ic = id / (inWidth * inHeight);
      for (let ky = 0; ky < kernelHeight; ky++) {
        const top = y + padY - ky;
        if (top < 0 || top % strideY != 0 || top / strideY >= outHeight) continue;
        const rowAt = (top / strideY) * outWidth;
        for (let kx = 0; kx < kernelWidth; kx++) {
          const left = x + padX - kx;
          if (left < 0 || left % strideX != 0 || left / strideX >= outWidth) continue;
          const tap = ((ic * kernelHeight + ky) * kernelWidth + kx) * outChannels;
          let weight = load<u32>(args, 8) + <usize>(tap + from) * sizeof<W>();
          let at = target + (<usize>(rowAt + left / strideX) << 2) + <usize>from * mapBytes;
          for (let oc = from; oc < to; oc++) {
            if (isFloat<W>()) store<f32>(at, load<f32>(at) + load<f32>(weight));
            else store<i32>(at, load<i32>(at) + (load<i8>(weight) << shift));
            weight += sizeof<W>();
            at += mapBytes;
          }
        }
      }
    }
  }
}
