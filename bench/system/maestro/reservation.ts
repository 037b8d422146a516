/**
 * Memory that is set aside for keys and values, on every trace that there is: Maestro against reserving the whole prompt and the longest answer, and against paging on
 * demand, which sets aside nothing that is not used. In 16 bits, and packed as the cache of `tutti/llm` packs.
 */
import { join } from 'node:path';
import { policyNamed } from '../../../host/maestro/policies/catalogue.js';
import { MODEL_SHAPES, profileNamed } from '../../../host/simulate/profiles.js';
import { simulate } from '../../../host/simulate/simulator.js';
import { openTrace } from '../../../host/simulate/traces/open-trace.js';
import { workloadOfTrace, type TraceWorkloadOptions } from '../../../host/simulate/trace-workload.js';
import { trainOnWorkload } from '../../../host/simulate/train-on-workload.js';
import type { ModelShape } from '../../../host/simulate/workload.js';
import type { BenchContext, Cell } from '../../report.js';

interface TraceSet {
  readonly name: string;
  readonly file: string;
  readonly device: string;
  readonly nodes: number;
  readonly options: Omit<TraceWorkloadOptions, 'model' | 'seed'>;
}

const SETS: readonly TraceSet[] = [
  {
    ...{ name: 'Azure 2023, conversations', file: 'traces/AzureLLMInferenceTrace_conv_2023.csv' },
    ...{ device: 'a100-80gb', nodes: 2, options: {} },
  },
  {
    ...{ name: 'Mooncake, conversations', file: 'traces/mooncake_conversation_trace.jsonl.gz' },
    ...{ device: 'a100-80gb', nodes: 8, options: { programs: 6000 } },
  },
  {
    ...{ name: 'agent sessions', file: 'agents/agent_sessions.jsonl.gz', device: 'h100-80gb', nodes: 4 },
    options: { programs: 120, calls: 80, rate: 0.01, firstTokenSeconds: 60, latencySeconds: 300 },
  },
  {
    ...{ name: 'ChatDev', file: 'agents/chatdev_calls.jsonl', device: 'a100-80gb', nodes: 2 },
    options: { rate: 0.2 },
  },
];

/** Bytes of a packed token against 16 bits, heads of 128, scales included (`npm run bench:kv`). */
const PACKED = { f16: 1, int8: 2052 / 4096, int4: 1312 / 4096 } as const;

export async function benchReservation(context: BenchContext): Promise<void> {
  const rows: Cell[][] = [];
  const saved = new Map<string, { all: number; answers: number; attained: number }[]>();
  for (const { name, file, device, nodes: count, options } of SETS) {
    const trace = await openTrace(join(context.data, file));
    const nodes = Array.from({ length: count }, () => ({ profile: profileNamed(device) }));
    for (const seed of context.quick ? [1] : [1, 2, 3, 4, 5]) {
      context.say(`${name}, seed ${seed}`);
      const shape = MODEL_SHAPES[0]!;
      const make = (packed: keyof typeof PACKED) => {
        const model: ModelShape = { ...shape, kvBytesPerToken: Math.round(shape.kvBytesPerToken * PACKED[packed]) };
        return workloadOfTrace(trace, { model, seed, ...options });
      };
      const runs = [
        ['fcfs-max-length', 'f16'],
        ['fcfs', 'f16'],
        ['maestro', 'f16'],
        ['maestro', 'int8'],
        ['maestro', 'int4'],
      ] as const;
      for (const [policy, packed] of runs) {
        const workload = make(packed);
        // Learns from the first third alone, and from what happens.
        const before = {
          ...workload,
          workflows: workload.workflows.slice(0, Math.ceil(workload.workflows.length / 3)),
        };
        const result = simulate({
          ...{ workload, nodes, policy: policyNamed(policy) },
          ...(policy === 'maestro' && { predictor: trainOnWorkload({ workload: before, nodes, seed }) }),
        });
        const key = `${name}\n${policy}\n${packed}`;
        const list = saved.get(key) ?? [];
        // Against whole prompts and longest answers in 16 bits.
        const part = (bytes: number, whole: number): number => 100 * (1 - (PACKED[packed] * bytes) / whole);
        list.push({
          all: part(result.reservedBytes, result.wholeBytes),
          answers: part(result.answerBytes, result.longestAnswerBytes),
          attained: 100 * result.all.attained,
        });
        saved.set(key, list);
        if (result.unfinished > 0) throw new Error(`${name}: ${policy} lost ${result.unfinished} workflows`);
      }
    }
  }
  const mean = (key: string, what: 'all' | 'answers' | 'attained'): number => {
    const list = saved.get(key)!;
    return list.reduce((sum, entry) => sum + entry[what], 0) / list.length;
  };
  for (const key of saved.keys()) {
    const [trace, policy, packed] = key.split('\n');
    rows.push([trace, policy, packed, mean(key, 'all'), mean(key, 'answers'), mean(key, 'attained')]);
  }
  context.table({
    title: 'Memory set aside for keys and values, less than prompt + 4,096 in 16 bits, by trace',
    columns: ['trace', 'policy', 'packed', 'all, % less', 'answers, % less', 'met targets, %'],
    rows,
    note: 'llama-3.1-8b, averages over time, simulated; lengths, pauses and shared blocks of the traces; targets and, for sessions without a common clock, when they begin are made up (seeds). fcfs pages on demand: what it sets aside is what is used, so in 16 bits nothing can be below it.',
  });
  for (const { name } of SETS) {
    const key = (policy: string, packed: string): string => `${name}\n${policy}\n${packed}`;
    context.bar(`${name}: packed in int4, all`, '>=', 75, mean(key('maestro', 'int4'), 'all'), '%');
    context.bar(`${name}: answers, 16 bits`, '>=', 74, mean(key('maestro', 'f16'), 'answers'), '%');
    const gain = mean(key('maestro', 'int4'), 'attained') - mean(key('fcfs-max-length', 'f16'), 'attained');
    context.bar(`${name}: targets met, against max-length`, '>=', 0, gain, 'points');
  }
}
