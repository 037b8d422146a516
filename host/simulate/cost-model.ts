/**
 * What an iteration costs on a device: the longer of moving its bytes and doing its arithmetic (Williams et al. 2009), and a fixed part. Weights are read once
 * for all sequences of an iteration, keys and values once for each.
 */
import type { DeviceProfile } from './profiles.js';
import type { ModelShape } from './workload.js';

export interface ModelCost {
  /** Seconds to read the weights; seconds to read a token's keys and values; seconds of arithmetic for a token, and for a pair of tokens that attend. */
  readonly weights: number;
  readonly context: number;
  readonly token: number;
  readonly pair: number;
  readonly fixed: number;
  /** Measured: what a sequence that decodes takes beside `token`. Terms are then added up instead of the longer of moving and arithmetic. */
  readonly sequence?: number;
}

/** A cost that was measured: a line over sequences, prompt tokens and tokens attended to. Seconds each. */
export interface MeasuredCost {
  readonly fixed: number;
  readonly sequence: number;
  readonly promptToken: number;
  readonly context: number;
}

/** Operations of attention for a pair of tokens: 4 x layers x width, of a dense decoder about this much of its parameters. */
const attentionOperations = (parameters: number): number => 0.13 * parameters ** (2 / 3);

export function modelCost(profile: DeviceProfile, model: ModelShape): ModelCost {
  const measured = profile.measured?.[model.name];
  if (measured) {
    const { fixed, sequence, promptToken: token, context } = measured;
    return { ...{ weights: 0, context, token, pair: 0, fixed }, sequence };
  }
  const bytes = profile.bytesPerSecond * profile.memoryEfficiency;
  const operations = profile.operationsPerSecond * profile.computeEfficiency;
  return {
    weights: model.weightBytes / bytes,
    context: model.kvBytesPerToken / bytes,
    token: (2 * model.activeParameters) / operations,
    pair: attentionOperations(model.activeParameters) / operations,
    fixed: profile.iterationSeconds,
  };
}

/**
 * Seconds of an iteration: `sequences` that decode over `context` tokens together, and `prompt` tokens computed of which the middle one sees
 * `promptContext` before it.
 */
export function iterationSeconds(
  cost: ModelCost,
  sequences: number,
  context: number,
  prompt: number,
  promptContext: number,
): number {
  if (cost.sequence !== undefined) {
    const attended = context + prompt * promptContext;
    return cost.fixed + cost.sequence * sequences + cost.token * prompt + cost.context * attended;
  }
  const moved = cost.weights + cost.context * (context + (prompt > 0 ? promptContext : 0));
  const done = cost.token * (sequences + prompt) + cost.pair * (context + prompt * promptContext);
  return cost.fixed + Math.max(moved, done);
}
