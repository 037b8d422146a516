/**
 * A request that is under way as one buffer of bytes, which an engine of the same model, elsewhere or later, adopts and continues to the token: "TKVS", version,
 * length of a header, the header (JSON), keys and values layer by layer, CRC-32 of all before.
 */
import { crc32 } from '../../crc32.js';
import { TuttiError } from '../../errors.js';
import { KV_FORMATS, type KvFormat } from '../../kernels/kv/index.js';
import type { KvWire } from '../kv/kv-memory.js';
import type { DecoderConfig } from '../model/decoder-config.js';

const MAGIC = 0x53564b54;
const VERSION = 1;
/** Magic, version, length of the header. */
const FRONT = 12;

/** What keys and values must agree in to be worth anything to another engine. */
export interface SnapshotShape {
  readonly model: string;
  readonly architecture: string;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly vocabulary: number;
  readonly blockSize: number;
  readonly plan: readonly KvFormat[];
}

export interface Snapshot {
  readonly shape: SnapshotShape;
  /** The request's options that are plain data. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly tokens: readonly number[];
  /** Length of the prompt; how many tokens of the answer its reader has taken. */
  readonly prompt: number;
  readonly taken: number;
  /** What goes with those that were not taken. */
  readonly ready: readonly Readonly<Record<string, unknown>>[];
  /** Tokens whose keys and values are in `wire`. */
  readonly computed: number;
  readonly wire: KvWire;
}

export function shapeOf(config: DecoderConfig, plan: readonly KvFormat[], blockSize: number): SnapshotShape {
  const { name, architecture, layers, kvHeads, headSize, vocabulary } = config;
  return { model: name, architecture, layers, kvHeads, headSize, vocabulary, blockSize, plan };
}

export function encodeSnapshot({ wire, ...rest }: Snapshot): Uint8Array {
  const header = new TextEncoder().encode(JSON.stringify({ ...rest, blocks: wire.blocks, tails: wire.tails }));
  const bytes = new Uint8Array(FRONT + header.length + wire.data.length + 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, header.length, true);
  bytes.set(header, FRONT);
  bytes.set(wire.data, FRONT + header.length);
  view.setUint32(bytes.length - 4, crc32(bytes, 0, bytes.length - 4), true);
  return bytes;
}

/**
 * `repack`: its layers may be packed in another way.
 * @throws TuttiError INPUT_INVALID for anything that is not a whole snapshot, or one of an engine of another shape
 */
export function decodeSnapshot(bytes: Uint8Array, shape: SnapshotShape, repack = false): Snapshot {
  const fail = (what: string, where = 'snapshot'): never => {
    throw new TuttiError('INPUT_INVALID', `the snapshot ${what}`, { where });
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < FRONT + 4 || view.getUint32(0, true) !== MAGIC) fail('is none: it does not begin with "TKVS"');
  if (view.getUint32(4, true) !== VERSION)
    fail(`is of version ${view.getUint32(4, true)}; this engine adopts version ${VERSION}`);
  if (view.getUint32(bytes.length - 4, true) !== crc32(bytes, 0, bytes.length - 4))
    fail('is damaged: its checksum is wrong; take it again');
  const length = view.getUint32(8, true);
  if (FRONT + length + 4 > bytes.length) fail('is damaged: its header is longer than all of it');
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(FRONT, FRONT + length)));
  } catch {
    fail('is damaged: its header is not JSON');
  }
  const header = parsed as Snapshot & { readonly blocks: number; readonly tails: number };
  const whole = (value: unknown, most: number): boolean =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most;
  const sound =
    typeof parsed === 'object' &&
    parsed !== null &&
    typeof header.shape === 'object' &&
    header.shape !== null &&
    typeof header.options === 'object' &&
    header.options !== null &&
    Array.isArray(header.tokens) &&
    header.tokens.every((token) => whole(token, shape.vocabulary - 1)) &&
    Array.isArray(header.ready) &&
    whole(header.prompt, header.tokens.length) &&
    header.prompt > 0 &&
    whole(header.taken, header.tokens.length - header.prompt) &&
    whole(header.computed, header.tokens.length - 1) &&
    header.ready.length === header.tokens.length - header.prompt &&
    whole(header.tails, 1);
  if (!sound) fail('is damaged: its header makes no sense');
  for (const key of Object.keys(shape) as (keyof SnapshotShape)[]) {
    const [theirs, ours] = [JSON.stringify(header.shape[key]), JSON.stringify(shape[key])];
    if (key === 'plan' && repack) continue;
    if (theirs !== ours) fail(`is of an engine whose ${key} is ${theirs}; here it is ${ours}`, key);
  }
  const full = Math.floor(header.computed / shape.blockSize);
  if (header.blocks !== full || header.tails !== Number(header.computed % shape.blockSize > 0))
    fail(`is damaged: ${header.computed} tokens are not in ${header.blocks} blocks and ${header.tails} tails`);
  const data = bytes.slice(FRONT + length, bytes.length - 4);
  const { plan } = header.shape;
  if (
    !Array.isArray(plan) ||
    plan.length !== shape.layers ||
    !plan.every((format: KvFormat) => KV_FORMATS.includes(format))
  )
    fail('is damaged: its plan makes no sense');
  return { ...header, wire: { plan, data, blocks: header.blocks, tails: header.tails } };
}
