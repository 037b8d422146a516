/** The tiny models of test/data/hugging-face, and the logits that they must give. */
import { readFileSync } from 'node:fs';
import { readSafetensors, tensorElements } from '../../host/files/safetensors.js';

export const FAMILIES = ['llama', 'mistral', 'qwen2', 'qwen3', 'gemma', 'gemma2', 'gemma3'] as const;

export const familyFolder = (family: string): string => `test/data/hugging-face/${family}`;

export interface ExpectedLogits {
  readonly tokens: readonly number[];
  /** Of the last positions, `vocabulary` for each. */
  readonly logits: Float32Array;
  readonly positions: number;
}

export function expectedLogits(family: string): ExpectedLogits[] {
  const { tensors } = readSafetensors(new Uint8Array(readFileSync(`${familyFolder(family)}/expected.safetensors`)));
  return [0, 1, 2].map((k) => {
    const logits = tensors.get(`logits.${k}`)!;
    return {
      tokens: [...tensorElements(tensors.get(`tokens.${k}`)!, 'I32')],
      logits: tensorElements(logits, 'F32'),
      positions: logits.shape[0]!,
    };
  });
}

/** Largest difference of logits of the last positions, as a part of the largest logit. */
export function relativeError(rows: readonly ArrayLike<number>[], { logits, positions }: ExpectedLogits): number {
  const last = rows.slice(-positions);
  const vocabulary = logits.length / positions;
  const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  let worst = last.length === positions ? 0 : NaN;
  last.forEach((row, p) => {
    for (let i = 0; i < vocabulary; i++) worst = Math.max(worst, Math.abs(row[i]! - logits[p * vocabulary + i]!));
  });
  return worst / largest;
}
