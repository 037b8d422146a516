/** Keys and values of a stage in bytes: from the model's own geometry, how its cache is packed, and how long the answer may become. */
import { kvBlockBytes, type KvPlan } from '../../llm/kv/kv-memory.js';
import type { DecoderConfig } from '../../llm/model/decoder-config.js';
import type { LengthPrediction } from './predictor.js';

export interface KvGeometry {
  readonly config: DecoderConfig;
  readonly plan: KvPlan;
  readonly blockSize: number;
}

export interface KvNeed {
  readonly promptTokens: number;
  /** Of them, those whose blocks are there already. */
  readonly sharedTokens?: number;
}

/** Blocks of a prompt and an answer of `outputTokens`; only whole blocks are shared. */
export function kvBlocksOf(
  { promptTokens, sharedTokens = 0 }: KvNeed,
  outputTokens: number,
  blockSize: number,
): number {
  const shared = Math.floor(Math.min(promptTokens, sharedTokens) / blockSize);
  return Math.ceil((promptTokens + Math.ceil(outputTokens)) / blockSize) - shared;
}

/** Bytes that a stage needs with probability `level` at most. */
export function kvBytesAtLevel(
  geometry: KvGeometry,
  need: KvNeed,
  prediction: LengthPrediction,
  level: number,
): number {
  const { config, plan, blockSize } = geometry;
  return kvBlocksOf(need, prediction.quantile(level), blockSize) * kvBlockBytes(config, plan, blockSize);
}
