/** A decoder in plain loops, to hold readers of models and the real decoder to: one sequence, no cache, double precision. */
import { dequantise } from '../../host/llm/gguf/dequantise.js';
import { rotationTable, type DecoderConfig, type RopeConfig } from '../../host/llm/model/decoder-config.js';
import type { ModelFile } from '../../host/llm/model/model-file.js';

type Rows = Float64Array[];

/** Logits [tokens][vocabulary]. */
export async function referenceLogits(model: ModelFile, tokens: readonly number[]): Promise<Rows> {
  const { config, tensors } = model;
  const { width, heads, kvHeads, headSize } = config;
  const load = async (name: string): Promise<Float32Array> => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`${name} is missing`);
    return dequantise(tensor, await tensor.read());
  };
  const optional = async (name: string, wanted: boolean): Promise<Float32Array | undefined> =>
    wanted ? load(name) : undefined;
  const norm = (row: Float64Array, weight: Float32Array): Float64Array => {
    const power = row.reduce((sum, value) => sum + value * value, 0) / row.length;
    return row.map((value, i) => (value / Math.sqrt(power + config.epsilon)) * weight[i]!);
  };
  const normHeads = (row: Float64Array, weight: Float32Array | undefined): Float64Array => {
    if (weight)
      for (let at = 0; at < row.length; at += headSize) row.set(norm(row.slice(at, at + headSize), weight), at);
    return row;
  };

  const embedding = await load('token_embd.weight');
  const x: Rows = tokens.map((token) =>
    Float64Array.from(embedding.subarray(token * width, (token + 1) * width), (v) => v * config.embeddingScale),
  );
  for (let layer = 0; layer < config.layers; layer++) {
    const at = (name: string): Promise<Float32Array> => load(`blk.${layer}.${name}`);
    const bias = (name: string): Promise<Float32Array | undefined> =>
      optional(`blk.${layer}.${name}.bias`, config.attentionBias);
    const { window } = config;
    const limited = window !== undefined && !(window.every > 0 && (layer + 1) % window.every === 0);
    const rope = (limited && window.rope) || config.rope;
    const project = (rows: Rows, weight: Float32Array, by?: Float32Array): Rows =>
      rows.map((row) => times(row, weight, by));
    const attentionNorm = await at('attn_norm.weight');
    const normed = x.map((row) => norm(row, attentionNorm));
    const q = project(normed, await at('attn_q.weight'), await bias('attn_q'));
    const k = project(normed, await at('attn_k.weight'), await bias('attn_k'));
    const v = project(normed, await at('attn_v.weight'), await bias('attn_v'));
    const qNorm = await optional(`blk.${layer}.attn_q_norm.weight`, config.headNorms);
    const kNorm = await optional(`blk.${layer}.attn_k_norm.weight`, config.headNorms);
    q.forEach((row, p) => rotate(normHeads(row, qNorm), p, rope, headSize));
    k.forEach((row, p) => rotate(normHeads(row, kNorm), p, rope, headSize));
    const attended = q.map((row, p) => {
      const out = new Float64Array(heads * headSize);
      const first = limited ? Math.max(0, p - window.positions + 1) : 0;
      for (let head = 0; head < heads; head++) {
        const kv = Math.floor((head * kvHeads) / heads) * headSize;
        const own = row.subarray(head * headSize, (head + 1) * headSize);
        const scores: number[] = [];
        for (let j = first; j <= p; j++) {
          const score = own.reduce((sum, value, i) => sum + value * k[j]![kv + i]!, 0) * config.attentionScale;
          scores.push(capped(score, config.scoreCap));
        }
        const most = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - most));
        const total = weights.reduce((sum, value) => sum + value, 0);
        weights.forEach((weight, j) => {
          for (let i = 0; i < headSize; i++) out[head * headSize + i]! += (weight / total) * v[first + j]![kv + i]!;
        });
      }
      return out;
    });
    await add(x, project(attended, await at('attn_output.weight')), layer, 'post_attention_norm.weight');
    const feedForwardNorm = await at('ffn_norm.weight');
    const before = x.map((row) => norm(row, feedForwardNorm));
    const up = project(before, await at('ffn_up.weight'));
    const gated = project(before, await at('ffn_gate.weight')).map((row, p) =>
      row.map((value, i) => activate(value, config) * up[p]![i]!),
    );
    await add(x, project(gated, await at('ffn_down.weight')), layer, 'post_ffw_norm.weight');
  }
  const [outputNorm, output] = [
    await load('output_norm.weight'),
    tensors.has('output.weight') ? await load('output.weight') : embedding,
  ];
  return x.map((row) => times(norm(row, outputNorm), output).map((value) => capped(value, config.logitCap)));

  async function add(to: Rows, what: Rows, layer: number, normName: string): Promise<void> {
    const weight = await optional(`blk.${layer}.${normName}`, config.outputNorms);
    what.forEach((row, p) => (weight ? norm(row, weight) : row).forEach((value, i) => (to[p]![i]! += value)));
  }
}

function times(row: Float64Array, weight: Float32Array, bias?: Float32Array): Float64Array {
  const inner = row.length;
  return Float64Array.from({ length: weight.length / inner }, (_, o) => {
    let sum = bias?.[o] ?? 0;
    for (let i = 0; i < inner; i++) sum += row[i]! * weight[o * inner + i]!;
    return sum;
  });
}

function rotate(row: Float64Array, position: number, rope: RopeConfig, headSize: number): void {
  const { rotated, halves } = rope;
  const table = rotationTable(rope, position + 1).subarray(position * rotated);
  for (let head = 0; head < row.length; head += headSize) {
    for (let i = 0; i < rotated / 2; i++) {
      const [a, b] = halves ? [head + i, head + i + rotated / 2] : [head + 2 * i, head + 2 * i + 1];
      const [x, y, cos, sin] = [row[a]!, row[b]!, table[2 * i]!, table[2 * i + 1]!];
      row[a] = x * cos - y * sin;
      row[b] = x * sin + y * cos;
    }
  }
}

const capped = (value: number, cap: number): number => (cap > 0 ? cap * Math.tanh(value / cap) : value);

function activate(value: number, { activation }: DecoderConfig): number {
  if (activation === 'silu') return value / (1 + Math.exp(-value));
  return 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)));
}
