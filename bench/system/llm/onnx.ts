/**
 * Ours and onnxruntime-web (Wasm SIMD, one thread, in Node) on the same weights, in turn: f32 against f32, Q8_0 against what ONNX has of 8 bits. The package comes
 * from the folder that TUTTI_PEERS names; bench/peers/onnx_decoder.py makes the ONNX files, with the Python that TUTTI_PYTHON names (onnx, gguf and numpy).
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { interleaved, median, type BenchContext, type Cell } from '../../report.js';
import { fileOf, ours, peerPath, PROMPT, promptOf, timed, type Contestant, type Rates } from './contestant.js';

const PYTHON = process.env['TUTTI_PYTHON'] ?? 'python3';
/** Kinds of ONNX file that the recipe makes, and which of our files each stands beside. */
const KINDS = { f32: 'F32', int8: 'Q8_0', nbits8: 'Q8_0' } as const;
const VOCABULARY = 32_000;
/** Greedy tokens that are compared. */
const COMPARED = 16;

interface OrtTensor {
  readonly data: BigInt64Array | Int32Array | Float32Array;
  readonly dims: readonly number[];
  dispose(): void;
}
interface OrtSession {
  readonly inputNames: readonly string[];
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}
interface Ort {
  readonly env: { readonly wasm: { numThreads: number }; logLevel: string };
  readonly Tensor: new (type: string, data: OrtTensor['data'], dims: readonly number[]) => OrtTensor;
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<OrtSession> };
}

/** One decoder; its heads are known from the shapes that the models of this benchmark have. */
async function openOnnx(
  path: string,
  model: string,
  kvHeads: number,
  headSize: number,
): Promise<Contestant & { greedy(prompt: readonly number[], tokens: number): Promise<number[]> }> {
  const ort = (await import(pathToFileURL(path).href)) as Ort;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const session = await ort.InferenceSession.create(readFileSync(model), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  });
  const caches = session.inputNames.filter((name) => name.startsWith('past_key_values.'));

  async function* generate(prompt: readonly number[], tokens: number): AsyncGenerator<number> {
    let next = [...prompt];
    let total = 0;
    let past = Object.fromEntries(
      caches.map((name) => [name, new ort.Tensor('float32', new Float32Array(0), [1, kvHeads, 0, headSize])]),
    );
    for (let k = 0; k < tokens; k++) {
      total += next.length;
      const found = await session.run({
        ...past,
        input_ids: new ort.Tensor('int64', BigInt64Array.from(next, BigInt), [1, next.length]),
        seqlens_k: new ort.Tensor('int32', Int32Array.of(total - 1), [1]),
        total_sequence_length: new ort.Tensor('int32', Int32Array.of(total), []),
      });
      past = Object.fromEntries(caches.map((name) => [name, found[name.replace('past_key_values', 'present')]!]));
      next = [Number(found['token']!.data[0])];
      yield next[0]!;
    }
  }
  return {
    ...timed((seed, tokens) => generate(promptOf(seed, VOCABULARY), tokens)),
    async greedy(prompt, tokens) {
      const found: number[] = [];
      for await (const token of generate(prompt, tokens)) found.push(token);
      return found;
    },
    close: () => session.release(),
  };
}

export async function benchOnnx({ table, bar, say, quick }: BenchContext): Promise<void> {
  const path = peerPath('onnxruntime-web');
  if (!path) {
    say('onnxruntime-web is not here: install it in a folder and name that by TUTTI_PEERS');
    return;
  }
  if (spawnSync(PYTHON, ['-c', 'import onnx, gguf, numpy'], { stdio: 'ignore' }).status !== 0) {
    say(`${PYTHON} -c "import onnx, gguf, numpy" failed: pip install them, and name that Python by TUTTI_PYTHON`);
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'tutti-onnx-'));
  const tokens = quick ? 16 : 48;
  const rows: Cell[][] = [];
  /** Of the 110M shape with 8 bits: ours over theirs, for each kind that theirs has. */
  const ratios: number[] = [];
  try {
    for (const [shape, kvHeads, headSize] of [['15m', 6, 48] as const, ['110m', 12, 64] as const]) {
      for (const kind of ['f32', 'int8', 'nbits8'] as const) {
        say(`${shape} ${kind}`);
        const model = join(folder, `${shape}-${kind}.onnx`);
        const recipe = ['bench/peers/onnx_decoder.py', await fileOf(shape, 'F32'), model, kind];
        const { status, stderr } = spawnSync(PYTHON, recipe, { encoding: 'utf8' });
        if (status !== 0) throw new Error(`${PYTHON} ${recipe.join(' ')} failed: ${stderr}`);
        const mine = await ours(await fileOf(shape, KINDS[kind]), 1);
        const theirs = await openOnnx(path, model, kvHeads, headSize);
        rmSync(model);
        const contestants: Record<string, Contestant> = { tutti: mine, 'onnxruntime-web': theirs };
        const rates: Record<string, Rates[]> = { tutti: [], 'onnxruntime-web': [] };
        const prompt = promptOf(1000, VOCABULARY);
        const [wanted, found] = [await mine.greedy(prompt, COMPARED), await theirs.greedy(prompt, COMPARED)];
        const differs = found.findIndex((token, k) => token !== wanted[k]);
        const same = differs < 0 ? COMPARED : differs;
        if (kind === 'f32' && same < COMPARED) say(`f32 tokens differ: ours ${wanted.join()}; theirs ${found.join()}`);
        await interleaved(
          quick ? 3 : 9,
          Object.fromEntries(
            Object.entries(contestants).map(([name, contestant]) => [
              name,
              async () => {
                rates[name]!.push(await contestant.once(tokens));
                return 0;
              },
            ]),
          ),
        );
        const of = (name: string, what: keyof Rates): number => median(rates[name]!.map((each) => each[what]));
        const ratio = of('tutti', 'decode') / of('onnxruntime-web', 'decode');
        if (shape === '110m' && kind !== 'f32') ratios.push(ratio);
        for (const name in contestants) {
          const isOurs = name === 'tutti';
          rows.push([
            ...[shape, isOurs ? KINDS[kind] : kind, name, of(name, 'prefill'), of(name, 'decode'), of(name, 'first')],
            isOurs ? ratio : undefined,
            isOurs ? undefined : `${same} of ${COMPARED}`,
          ]);
        }
        await mine.close();
        await theirs.close();
      }
    }
    table({
      title: `onnxruntime-web as Wasm in Node, one thread: ${PROMPT} tokens of prompt, ${tokens} after it`,
      columns: ['model', 'weights', '', 'prefill/s', 'decode/s', 'first, ms', 'decode ratio', 'first tokens as ours'],
      rows,
      note: 'Medians of interleaved repeats in one process, the same weights. int8: DynamicQuantizeLinear and MatMulInteger (q8 of transformers.js); nbits8: MatMulNBits, blocks of 32. Its keys and values leave Wasm and come back with every token, as that package has it. Greedy tokens of 8-bit models differ where rounding does.',
    });
    bar(
      'decode, 110M Q8_0, one thread, of onnxruntime-web with the faster 8 bits',
      '>=',
      1.5,
      Math.min(...ratios),
      'x',
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
