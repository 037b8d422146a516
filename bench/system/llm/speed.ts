/** One request at a time: prefill, decode, time to the first token; ours and llama.cpp in turn. */
import { interleaved, median, type BenchContext, type Cell } from '../../report.js';
import { fileOf, llamaCpp, ours, PROMPT, type Contestant, type Rates, type Shape } from './contestant.js';

export async function benchSpeed({ table, bar, say, quick }: BenchContext): Promise<void> {
  const tokens = quick ? 24 : 64;
  const rows: Cell[][] = [];
  const cases: readonly (readonly [Shape, 'Q8_0' | 'Q4_0' | 'F32', number])[] = [
    ['260k', 'F32', 1],
    ['15m', 'Q8_0', 1],
    ['110m', 'Q8_0', 1],
    ['110m', 'Q8_0', 2],
    ['110m', 'Q4_0', 1],
  ];
  let ratio: number | undefined;
  for (const [shape, type, threads] of cases) {
    say(`${shape} ${type}, ${threads} thread(s)`);
    const file = await fileOf(shape, type);
    const vocabulary = shape === '260k' ? 512 : 32_000;
    const mine = await ours(file, threads);
    const theirs = await llamaCpp(file, threads, vocabulary);
    const contestants: Record<string, Contestant> = { tutti: mine, ...(theirs && { 'llama.cpp': theirs }) };
    const rates: Record<string, Rates[]> = {};
    for (const name in contestants) {
      await contestants[name]!.once(8);
      rates[name] = [];
    }
    await interleaved(
      quick ? 3 : 9,
      Object.fromEntries(
        Object.entries(contestants).map(([name, c]) => [
          name,
          async () => {
            rates[name]!.push(await c.once(tokens));
            return 0;
          },
        ]),
      ),
    );
    const of = (name: string, what: keyof Rates): number | undefined =>
      rates[name] && median(rates[name].map((r) => r[what]));
    const [decode, other] = [of('tutti', 'decode')!, of('llama.cpp', 'decode')];
    if (shape === '110m' && type === 'Q8_0' && threads === 1 && other) ratio = decode / other;
    for (const name in contestants)
      rows.push([
        ...[`${shape} ${type}`, threads, name, of(name, 'prefill'), of(name, 'decode'), of(name, 'first')],
        name === 'tutti' && other ? decode / other : undefined,
        name === 'tutti' ? mine.bytes / 2 ** 20 : undefined,
        name === 'tutti' ? mine.loadSeconds : undefined,
      ]);
    await mine.close();
    await theirs?.close();
  }
  table({
    title: `One request: ${PROMPT} tokens of prompt, ${tokens} after it`,
    columns: ['model', 'threads', '', 'prefill/s', 'decode/s', 'first, ms', 'decode ratio', 'MiB', 'load, s'],
    rows,
    note: 'Medians of interleaved repeats in one process. llama.cpp is node-llama-cpp, native, no GPU; without it (TUTTI_PEERS names the folder where it is installed) its rows are missing.',
  });
  bar('decode, 110M Q8_0, one thread, of llama.cpp native', '>=', 0.5, ratio, 'x');
}
