/** What packing keys and values costs: perplexity and greedy divergence against f32 on written text, bytes per token. */
import { readFileSync } from 'node:fs';
import { createWasmDevice } from '../../../host/index.js';
import { bytesSource, kvBlockBytes, openLanguageModel, type KvPlan } from '../../../host/llm/index.js';
import type { BenchContext, Cell } from '../../report.js';

const PLANS: readonly (readonly [string, KvPlan, number])[] = [
  ['f32', 'f32', 16],
  ['f16', 'f16', 16],
  ['int8', 'int8', 16],
  ['int4', 'int4', 16],
  ['int4, blocks of 32', 'int4', 32],
  ['int8, int8, int4, int4, int4', ['int8', 'int8', 'int4', 'int4', 'int4'], 32],
];

export async function benchAccuracy({ table, bar, quick }: BenchContext): Promise<void> {
  const file = new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf'));
  const stories = readFileSync('test/data/text/stories.txt', 'utf8').trim().split('\n\n');
  const device = await createWasmDevice({ threads: 1 });
  const rows: Cell[][] = [];
  const bits = new Map<string, number>();
  const perplexities = new Map<string, number>();
  let reference: number[][] = [];
  let tokens = 0;
  for (const [name, kv, blockSize] of PLANS) {
    const model = await openLanguageModel(bytesSource(file), { device, kv, blockSize, batchSequences: 64 });
    let sum = 0;
    tokens = 0;
    const answers: number[][] = [];
    for (const story of stories.slice(0, quick ? 2 : undefined)) {
      const scores = await model.score(model.tokenizer.encode(story));
      sum -= scores.reduce((a, b) => a + b, 0);
      tokens += scores.length;
      const answer: number[] = [];
      const prompt = model.tokenizer.encode(story).slice(0, 60);
      for await (const { token } of model.generate({ prompt, maxTokens: 120 })) answer.push(token);
      answers.push(answer);
    }
    if (name === 'f32') reference = answers;
    const same = answers.map((answer, k) => {
      const at = answer.findIndex((token, i) => token !== reference[k]![i]);
      return at < 0 ? answer.length : at;
    });
    const perplexity = Math.exp(sum / tokens);
    perplexities.set(name, perplexity);
    const { config } = model;
    const large = { ...config, layers: 1, kvHeads: 12, headSize: 64 };
    const share =
      kvBlockBytes(large, typeof kv === 'string' ? kv : 'f32', blockSize) / kvBlockBytes(large, 'f32', blockSize);
    bits.set(name, share);
    rows.push([
      ...[name, perplexity.toFixed(4), `${((perplexity / perplexities.get('f32')! - 1) * 100).toFixed(3)} %`],
      `${Math.round(same.reduce((a, b) => a + b, 0) / same.length)} of 120`,
      `${model.usage.blockBytes / blockSize} B`,
      `${((100 * model.usage.blockBytes) / kvBlockBytes(config, 'f32', blockSize)).toFixed(1)} %`,
      typeof kv === 'string' ? `${(100 * share).toFixed(1)} %` : undefined,
    ]);
    await model.close();
  }
  await device.close();
  table({
    title: `Keys and values of stories260K, ${tokens} tokens of test/data/text`,
    columns: ['packed as', 'perplexity', 'against f32', 'same greedy', 'a token', 'of f32', 'with heads of 64'],
    rows,
    note: 'Same greedy: tokens after a prompt of 60 until the first that differs from f32, mean. A token: bytes of full blocks, scales included; the block that is being filled is f32.',
  });
  const off = (name: string): number => Math.abs(perplexities.get(name)! / perplexities.get('f32')! - 1) * 100;
  bar('int8: perplexity off f32', '<=', 0.1, off('int8'), '%');
  bar('int4: perplexity off f32', '<=', 2, Math.max(off('int4'), off('int4, blocks of 32')), '%');
  bar('int8: bytes of f32, heads of 64', '<=', 27, 100 * bits.get('int8')!, '%');
  bar('int4: bytes of f32, heads of 64', '<=', 17, 100 * bits.get('int4')!, '%');
}
