/** A decoder's shape as the metadata of a GGUF file: what `decoderConfig` reads, by the names that other programs know. */
import { f32, u32, type GgufEntry } from '../gguf/write-gguf.js';
import type { DecoderConfig } from './decoder-config.js';
import { FAMILIES, type Architecture } from './families.js';
import { yarnMagnitude } from './rope.js';

export function configMetadata(config: DecoderConfig): Map<string, GgufEntry> {
  const { rope, window, headSize } = config;
  const { yarn } = rope;
  const family = FAMILIES[config.architecture as Architecture];
  const entries: [string, GgufEntry][] = [
    ['block_count', u32(config.layers)],
    ['context_length', u32(config.context)],
    ['embedding_length', u32(config.width)],
    ['feed_forward_length', u32(config.feedForward)],
    ['vocab_size', u32(config.vocabulary)],
    ['attention.head_count', u32(config.heads)],
    ['attention.head_count_kv', u32(config.kvHeads)],
    ['attention.key_length', u32(headSize)],
    ['attention.value_length', u32(headSize)],
    ['attention.layer_norm_rms_epsilon', f32(config.epsilon)],
    ['rope.dimension_count', u32(rope.rotated)],
    ['rope.freq_base', f32(rope.base)],
  ];
  // Left out where it is what everybody takes it for: not all programs read it.
  if (config.attentionScale !== family.attentionScale(config))
    entries.push(['attention.scale', f32(config.attentionScale)]);
  if (rope.factor !== 1) entries.push(['rope.scaling.type', 'linear'], ['rope.scaling.factor', f32(rope.factor)]);
  if (yarn) {
    entries.push(
      ['rope.scaling.type', 'yarn'],
      ['rope.scaling.factor', f32(yarn.factor)],
      ['rope.scaling.original_context_length', u32(yarn.context)],
      ['rope.scaling.yarn_beta_fast', f32(yarn.betaFast)],
      ['rope.scaling.yarn_beta_slow', f32(yarn.betaSlow)],
      ['rope.scaling.attn_factor', f32(yarn.magnitude / yarnMagnitude(yarn.factor))],
    );
  }
  if (family.capped) {
    entries.push(['attn_logit_softcapping', f32(config.scoreCap)], ['final_logit_softcapping', f32(config.logitCap)]);
  }
  if (window) {
    entries.push(['attention.sliding_window', u32(window.positions)]);
    if (window.every !== family.window.every) entries.push(['attention.sliding_window_pattern', u32(window.every)]);
    if (window.rope) entries.push(['rope.freq_base_swa', f32(window.rope.base)]);
  } else if (family.window.positions !== undefined) entries.push(['attention.sliding_window', u32(0)]);
  return new Map<string, GgufEntry>([
    ['general.architecture', config.architecture],
    ['general.name', config.name],
    ...entries.map(([key, entry]) => [`${config.architecture}.${key}`, entry] as const),
  ]);
}
