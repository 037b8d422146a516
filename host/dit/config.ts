/** What a diffusion transformer looks like. Checked before anything is allocated for it, since configurations come from files. */
import { TuttiError } from '../errors.js';

export interface DitConfig {
  readonly name: string;
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  /** Width of the hidden layer over width. */
  readonly ratio: number;
  /** Points of the latent picture to a side of a token. */
  readonly patch: number;
  /** Of the latent picture. */
  readonly channels: number;
  /** The class after the last one stands for none. */
  readonly classes: number;
  /** Pixels to a side of a point of the latent picture. */
  readonly scale: number;
  /** Over which coordinates of tokens run, whatever the number of tokens; 0: as many as there are tokens to a side. */
  readonly span: number;
  /** Sinusoids of time, and what time is multiplied by. */
  readonly timeWidth: number;
  readonly timeSpan: number;
  readonly epsilon: number;
  /** Sizes in pixels that it was trained at. */
  readonly sizes: readonly number[];
  /** Rows that every block attends to beside the picture's own (cross-attention, PixArt's): most of them, and their width, as an encoder of text has it. */
  readonly context?: { readonly tokens: number; readonly width: number };
}

const COUNTS = ['width', 'depth', 'heads', 'ratio', 'patch', 'channels', 'classes', 'scale', 'timeWidth'] as const;

/** @throws TuttiError FILE_INVALID */
export function checkDitConfig(value: unknown, where: string): DitConfig {
  const fail = (what: string): never => {
    throw new TuttiError('FILE_INVALID', `${where}: ${what}; a DitConfig is expected`, { where });
  };
  if (typeof value !== 'object' || value === null) return fail('the configuration is not an object');
  const given = value as Readonly<Record<string, unknown>>;
  for (const key of COUNTS) {
    const count = given[key];
    if (!Number.isSafeInteger(count) || (count as number) < 1 || (count as number) > 65_536)
      fail(`"${key}" must be a whole number of 1 to 65536, got ${String(count)}`);
  }
  for (const key of ['span', 'timeSpan', 'epsilon'] as const)
    if (typeof given[key] !== 'number' || !(given[key] >= 0) || !Number.isFinite(given[key]))
      fail(`"${key}" must be a number of at least 0, got ${String(given[key])}`);
  const { sizes, name } = given;
  if (!Array.isArray(sizes) || !sizes.every((size) => Number.isSafeInteger(size) && size > 0))
    fail('"sizes" must be a list of sizes in pixels');
  const { context } = given;
  if (context !== undefined) {
    const { tokens, width: of } = (context ?? {}) as Readonly<Record<string, unknown>>;
    for (const [key, count] of Object.entries({ tokens, width: of }))
      if (!Number.isSafeInteger(count) || (count as number) < 1 || (count as number) > 65_536)
        fail(`"context.${key}" must be a whole number of 1 to 65536, got ${String(count)}`);
  }
  const config = { ...given, name: typeof name === 'string' ? name : where } as DitConfig;
  const { width, heads, timeWidth } = config;
  if (width % 4 !== 0) fail(`a width of ${width} is not a multiple of 4`);
  if (width % heads !== 0 || (width / heads) % 8 !== 0 || width / heads > 256)
    fail(`${heads} heads of a width of ${width}: a head needs a multiple of 8 elements, at most 256`);
  if (timeWidth % 2 !== 0) fail(`a timeWidth of ${timeWidth} is odd`);
  return config;
}

export interface PictureShape {
  /** In pixels. */
  readonly size: number;
  /** Points of the latent picture to a side. */
  readonly side: number;
  readonly tokens: number;
}

/** Most tokens of a picture: attention over more takes longer than anybody waits for here. */
const MOST_TOKENS = 65_536;

/** @throws TuttiError INPUT_INVALID when the model has no such pictures. */
export function pictureShape(config: DitConfig, size: number): PictureShape {
  const unit = config.scale * config.patch;
  const across = size / unit;
  if (!Number.isSafeInteger(across) || across < 1 || across * across > MOST_TOKENS) {
    throw new TuttiError(
      'INPUT_INVALID',
      `size must be a multiple of ${unit} pixels with at most ${MOST_TOKENS} tokens for ${config.name}, got ${String(size)}; it was trained at ${config.sizes.join(', ')}`,
      { where: 'size', facts: { size, unit } },
    );
  }
  return { size, side: size / config.scale, tokens: across * across };
}

/** Sine-cosine positions [tokens][width] on a square: half of the width for the column, half for the row, sines before cosines. */
export function positionRows(config: DitConfig, shape: PictureShape): Float32Array {
  const { width, span } = config;
  const across = Math.sqrt(shape.tokens);
  const quarter = width / 4;
  const one = new Float64Array(across * 2 * quarter);
  for (let p = 0; p < across; p++) {
    const at = ((p + 0.5) * (span || across)) / across - 0.5;
    for (let k = 0; k < quarter; k++) {
      const angle = at / 10_000 ** (k / quarter);
      one[p * 2 * quarter + k] = Math.sin(angle);
      one[p * 2 * quarter + quarter + k] = Math.cos(angle);
    }
  }
  const rows = new Float32Array(shape.tokens * width);
  for (let t = 0; t < shape.tokens; t++) {
    const [row, column] = [Math.floor(t / across), t % across];
    rows.set(one.subarray(column * 2 * quarter, (column + 1) * 2 * quarter), t * width);
    rows.set(one.subarray(row * 2 * quarter, (row + 1) * 2 * quarter), t * width + 2 * quarter);
  }
  return rows;
}

/** `half` frequencies from 1 down to 1 / 10000, as sinusoids of time use them. */
export function frequencyTable(half: number): Float32Array {
  return Float32Array.from({ length: half }, (_, k) => Math.exp((-Math.log(10_000) * k) / half));
}
