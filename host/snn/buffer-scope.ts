/** Device buffers that live and die together, so that whatever is made half-way can be taken back whole. */
import type { Device, DeviceBuffer, TypedView } from '../device/device.js';

export interface BufferScope {
  readonly device: Device;
  /** Labelled "prefix/part"; at least 16 bytes, whole words. */
  allocate(part: string, bytes: number): DeviceBuffer;
  upload(part: string, data: TypedView): DeviceBuffer;
  /** `buffer` when it is large enough, else a larger one in its place (the old one is released, its content lost). */
  grow(buffer: DeviceBuffer | undefined, part: string, bytes: number): DeviceBuffer;
  release(buffer: DeviceBuffer): void;
  releaseAll(): void;
}

/** Room to spare when a buffer grows, so that slowly growing inputs do not reallocate every time; capped. */
const MOST_SPARE_BYTES = 2 ** 24;

/** `changed` is called before a buffer is replaced: whoever holds kernel calls on it must drop them. */
export function createBufferScope(device: Device, prefix: string, changed: () => void): BufferScope {
  const held = new Set<DeviceBuffer>();
  const allocate = (part: string, bytes: number): DeviceBuffer => {
    const buffer = device.allocate(Math.max(16, wholeWords(bytes)), `${prefix}/${part}`);
    held.add(buffer);
    return buffer;
  };
  const release = (buffer: DeviceBuffer): void => {
    held.delete(buffer);
    buffer.release();
  };
  return {
    device,
    allocate,
    release,
    upload(part, data) {
      const buffer = allocate(part, data.byteLength);
      if (data.byteLength === 0) return buffer;
      if (data.byteLength % 4 === 0) device.write(buffer, data);
      else {
        const padded = new Uint8Array(wholeWords(data.byteLength));
        padded.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
        device.write(buffer, padded);
      }
      return buffer;
    },
    grow(buffer, part, bytes) {
      if (buffer === undefined) return allocate(part, bytes);
      if (buffer.bytes >= bytes) return buffer;
      const larger = allocate(part, Math.max(bytes, Math.min(1.5 * buffer.bytes, bytes + MOST_SPARE_BYTES)));
      changed();
      release(buffer);
      return larger;
    },
    releaseAll() {
      for (const buffer of held) buffer.release();
      held.clear();
    },
  };
}

function wholeWords(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}
