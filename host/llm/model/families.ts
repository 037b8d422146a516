/** What model files do not say because it goes with the architecture. The names are GGUF's. */

export type Architecture = 'llama' | 'qwen2' | 'qwen3' | 'gemma' | 'gemma2' | 'gemma3';

interface HeadShape {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly headSize: number;
}

export interface Family {
  /** How GGUF files pair the elements that are rotated: the rows of "llama" are brought into pairs when a file is made. */
  readonly halves: boolean;
  readonly activation: 'silu' | 'gelu';
  readonly attentionBias: boolean;
  readonly headNorms: boolean;
  readonly outputNorms: boolean;
  /** Embeddings are multiplied by the root of the width, and weights of norms are one less in Hugging Face's files. */
  readonly scaledEmbedding: boolean;
  readonly capped: boolean;
  /** For files that do not name it. */
  readonly attentionScale: (shape: HeadShape) => number;
  readonly window: {
    /** Where a file does not say; undefined: no window. */
    readonly positions?: number;
    /** As in `WindowConfig`. */
    readonly every: number;
    /** Where limited layers have a rotation of their own. */
    readonly ropeBase?: number;
  };
}

const perHead = ({ headSize }: HeadShape): number => 1 / Math.sqrt(headSize);
/** Gemma's 27B models, which are known by their number of layers, scale by the width to a head, which is not its size. */
const perHeadBut =
  (large: number) =>
  (shape: HeadShape): number =>
    shape.layers === large ? 1 / Math.sqrt(shape.width / shape.heads) : perHead(shape);

const llama: Family = {
  ...{ halves: false, activation: 'silu', attentionBias: false, headNorms: false, outputNorms: false },
  ...{ scaledEmbedding: false, capped: false, attentionScale: perHead, window: { every: 0 } },
};
const gemma: Family = { ...llama, halves: true, activation: 'gelu', scaledEmbedding: true };

export const FAMILIES: Readonly<Record<Architecture, Family>> = {
  llama,
  qwen2: { ...llama, halves: true, attentionBias: true },
  qwen3: { ...llama, halves: true, headNorms: true },
  gemma,
  gemma2: {
    ...{ ...gemma, outputNorms: true, capped: true, attentionScale: perHeadBut(46) },
    window: { positions: 4096, every: 2 },
  },
  gemma3: {
    ...{ ...gemma, outputNorms: true, headNorms: true, attentionScale: perHeadBut(62) },
    window: { every: 6, ropeBase: 10_000 },
  },
};
