/** Many requests at a time: tokens per second of all together. */
import { interleaved, median, type BenchContext, type Cell } from '../../report.js';
import { fileOf, llamaCpp, ours, type Contestant, type Shape } from './contestant.js';

export async function benchBatch({ table, bar, say, quick }: BenchContext): Promise<void> {
  const sizes = quick ? [1, 16] : [1, 2, 4, 8, 16, 32];
  const shapes: readonly Shape[] = quick ? ['260k', '110m'] : ['260k', '15m', '110m'];
  const rows: Cell[][] = [];
  let gain: number | undefined;
  for (const shape of shapes) {
    const file = await fileOf(shape, shape === '260k' ? 'F32' : 'Q8_0');
    const mine = await ours(file, 1);
    const theirs = await llamaCpp(file, 1, shape === '260k' ? 512 : 32_000);
    const contestants: Record<string, Contestant> = { tutti: mine, ...(theirs && { 'llama.cpp': theirs }) };
    const results: Record<string, number[]> = {};
    for (const size of sizes) {
      say(`${shape}, ${size} at a time`);
      const values = await interleaved(
        quick ? 1 : 3,
        Object.fromEntries(
          Object.entries(contestants).map(([name, c]) => [name, () => c.together(size, 48 + 2 * size)]),
        ),
      );
      for (const name in values) (results[name] ??= []).push(median(values[name]!));
    }
    for (const name in results) rows.push([shape, name, ...results[name]!]);
    if (shape === '110m') gain = results['tutti']![sizes.indexOf(16)]! / results['tutti']![0]!;
    await mine.close();
    await theirs?.close();
  }
  table({
    title: 'Requests at a time, tokens per second of all together, one thread',
    columns: ['model', '', ...sizes.map(String)],
    rows,
  });
  bar('110M Q8_0, 16 at a time against one', '>=', 6, gain, 'x');
}
