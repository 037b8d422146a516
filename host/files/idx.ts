/**
 * Reader of IDX files (the format of MNIST): big-endian magic 00 00 type rank, then the sizes, then the elements. Only
 * unsigned bytes (type 08), which is what image and label sets use.
 */
import { TuttiError } from '../errors.js';

export interface IdxArray {
  /** For example [10000, 28, 28] for images, [10000] for labels. */
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** @throws TuttiError FILE_INVALID when the bytes are not a whole unsigned-byte IDX file. */
export function parseIdx(bytes: Uint8Array, name = 'IDX file'): IdxArray {
  const fail = (what: string): never => {
    throw new TuttiError('FILE_INVALID', `${name}: ${what}; expected an uncompressed IDX file of unsigned bytes`, {
      where: name,
    });
  };
  if (bytes.length < 4) return fail(`${bytes.length} bytes are too few for a header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(0) !== 0)
    return fail(
      `starts with 0x${view.getUint32(0).toString(16).padStart(8, '0')}${view.getUint16(0) === 0x1f8b ? ' (gzip: decompress it first)' : ''}`,
    );
  if (view.getUint8(2) !== 0x08) return fail(`has element type 0x${view.getUint8(2).toString(16)}`);
  const rank = view.getUint8(3);
  const start = 4 + 4 * rank;
  if (rank === 0 || rank > 4 || bytes.length < start) return fail(`has rank ${rank} in ${bytes.length} bytes`);
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const elements = shape.reduce((product, size) => product * size, 1);
  if (elements !== bytes.length - start)
    return fail(`announces ${shape.join(' x ')} elements but holds ${bytes.length - start}`);
  return { shape, data: bytes.subarray(start) };
}
