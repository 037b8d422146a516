/**
 * Mooncake's traces: one JSON object a line with a timestamp in milliseconds, lengths, and ids of 512-token blocks, each of which stands for
 * all tokens up to its end. Calls that go on from one another's blocks are taken for one conversation.
 */
import { blockRuns, jsonLines, type Trace, type TraceCall, type TraceOptions } from './trace.js';

const BLOCK = 512;

/** @throws TuttiError FILE_INVALID */
export function readMooncakeTrace(text: string, options: TraceOptions = {}): Trace {
  const name = options.name ?? 'mooncake trace';
  const read = [...jsonLines(text, name)].map((record) => {
    const promptTokens = record.count('input_length');
    const ids = record.list('hash_ids').map((id) => {
      if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < 2 ** 32) return id;
      throw record.fail(`hash_ids holds ${JSON.stringify(id)?.slice(0, 40)}; ids are whole numbers below 2^32`);
    });
    if (ids.length !== Math.ceil(promptTokens / BLOCK)) {
      throw record.fail(
        `${ids.length} hash_ids for an input_length of ${promptTokens}, which has ${Math.ceil(promptTokens / BLOCK)} blocks of ${BLOCK}`,
      );
    }
    return { at: record.seconds('timestamp') / 1000, promptTokens, outputTokens: record.count('output_length'), ids };
  });
  read.sort((a, b) => a.at - b.at);
  const start = read[0]?.at ?? 0;
  const owner = new Map<number, string>();
  const programs = new Map<string, TraceCall[]>();
  read.forEach(({ at, promptTokens, outputTokens, ids }, k) => {
    let shared = 0;
    while (shared < ids.length && owner.has(ids[shared]!)) shared++;
    // The first block is a system prompt that many have: it makes no conversation.
    const program = shared > 1 ? owner.get(ids[shared - 1]!)! : `mooncake-${k}`;
    for (const id of ids) if (!owner.has(id)) owner.set(id, program);
    const calls = programs.get(program) ?? [];
    programs.set(program, calls);
    calls.push({
      ...{ program, index: calls.length, arrival: at - start, promptTokens, outputTokens },
      sharedTokens: Math.min(promptTokens, shared * BLOCK),
      blocks: blockRuns(ids),
    });
  });
  return {
    ...{ name, clock: 'trace', blockSize: BLOCK, blockScope: 'trace' },
    programs: [...programs].map(([id, calls]) => ({ id, calls })),
  };
}
