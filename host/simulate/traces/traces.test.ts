import { readFile } from 'node:fs/promises';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../../errors.js';
import { readAgentSessions } from './agent-sessions.js';
import { readAzureTrace } from './azure.js';
import { readChatDevTrace } from './chatdev.js';
import { readMooncakeTrace } from './mooncake.js';
import { openTrace, readTrace, type TraceFormat } from './open-trace.js';
import { samplesOfProgram, samplesOfTrace } from './samples.js';
import { blockIds, blockRuns, callsByArrival } from './trace.js';

const FILES: Readonly<Record<TraceFormat, string>> = {
  azure: 'test/data/traces/azure-conv.csv',
  mooncake: 'test/data/traces/mooncake.jsonl.gz',
  'agent-sessions': 'test/data/traces/agent-sessions.jsonl.gz',
  chatdev: 'test/data/traces/chatdev.jsonl',
};
const formats = Object.keys(FILES) as TraceFormat[];

/** The error that `act` throws, which must be of a damaged file. */
function damage(act: () => unknown): TuttiError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(TuttiError);
    expect((error as TuttiError).code).toBe('FILE_INVALID');
    return error as TuttiError;
  }
  throw new Error('nothing was thrown');
}

describe('Azure', () => {
  const header = 'TIMESTAMP,ContextTokens,GeneratedTokens';

  it('sorts calls by time and counts from the first', () => {
    const trace = readAzureTrace(
      `${header}\n2023-11-16 18:15:47.5,10,1\n2023-11-16 18:15:46.25,20,2\r\n\n2023-11-16 18:16:46.25,30,3`,
    );
    const calls = callsByArrival(trace);
    expect(calls.map((call) => [call.arrival, call.promptTokens, call.outputTokens])).toEqual([
      [0, 20, 2],
      [1.25, 10, 1],
      [60, 30, 3],
    ]);
  });

  it('names the line that is wrong', () => {
    expect(damage(() => readAzureTrace(`${header}\n2023-11-16 18:15:47.5,10,1\n2023-11-16 18:15:47.5,x,1`)).where).toBe(
      'azure trace:3',
    );
    expect(damage(() => readAzureTrace(`${header}\nyesterday,10,1`)).message).toContain('TIMESTAMP');
    expect(damage(() => readAzureTrace('a,b,c')).message).toContain('ContextTokens');
    expect(damage(() => readAzureTrace('')).message).toContain('empty');
  });
});

describe('Mooncake', () => {
  const line = (at: number, ids: readonly number[]): string =>
    JSON.stringify({ timestamp: at, input_length: ids.length * 512, output_length: 5, hash_ids: ids });

  it('finds what is shared and what belongs together', () => {
    const trace = readMooncakeTrace([line(2000, [0, 1, 2, 9]), line(1000, [0, 1, 2]), line(3000, [0, 7])].join('\n'));
    expect(trace.programs.map(({ calls }) => calls.map((call) => call.sharedTokens))).toEqual([[0, 3 * 512], [512]]);
    expect(trace.programs[0]!.calls.map((call) => [call.index, call.arrival])).toEqual([
      [0, 0],
      [1, 1],
    ]);
    expect([...trace.programs[0]!.calls[1]!.blocks!]).toEqual([0, 3, 9, 1]);
  });

  it('refuses blocks that do not fit the prompt', () => {
    const bad = JSON.stringify({ timestamp: 0, input_length: 513, output_length: 5, hash_ids: [1] });
    expect(damage(() => readMooncakeTrace(`${line(0, [1])}\n${bad}`)).where).toBe('mooncake trace:2');
  });
});

describe('agent sessions', () => {
  const call = (more: object): object => ({
    ...{ t: 0, type: 'n', in: 128, out: 10, keep: 0, blocks: 2, api: 1, think: 0, stop: 'tool_use', it: 'text' },
    ...{ ot: 'tool_use', m: 'm', new: [[1, 2]] },
    ...more,
  });
  const session = (...requests: object[]): string => JSON.stringify({ id: 's', block: 64, requests });

  it('puts blocks together from what is kept and what is new', () => {
    const { programs } = readAgentSessions(
      session(
        call({}),
        call({ t: 5, keep: 1, blocks: 4, new: [[7, 3]], in: 256, it: 'tool_result', stop: 'end_turn', ot: 'text' }),
      ),
    );
    const [, second] = programs[0]!.calls;
    expect([...blockIds(second!.blocks!)]).toEqual([1, 7, 8, 9]);
    expect(second).toMatchObject({ sharedTokens: 64, gapSeconds: 4, bringsToolResult: true, callsTool: false });
  });

  it('starts a sub-agent with no blocks, and with its own clock', () => {
    const inner = [call({}), call({ t: 2, keep: 2, blocks: 3, new: [[3, 1]] })];
    const sub = { t: 10, type: 'subagent', agent_id: 'a', subagent_type: 'Explore', requests: inner };
    const { programs } = readAgentSessions(session(call({}), sub, call({ t: 11, keep: 2, new: [] })));
    expect(programs[0]!.calls.map(({ role, arrival, index }) => [role, arrival, index])).toEqual([
      ['agent', 0, 0],
      ['Explore', 10, 1],
      ['agent', 11, 2],
      ['Explore', 12, 3],
    ]);
  });

  it.each([
    ['keeps more than there was', call({ keep: 1 }), 'keeps 1'],
    ['counts other blocks', call({ blocks: 9 }), 'says 9'],
    ['has broken runs', call({ new: [[1]] }), 'runs'],
    ['has negative tokens', call({ out: -1 }), 'out must be'],
    ['claims a million million blocks', call({ new: [[1, 1e12]], blocks: 1e12 }), 'runs'],
  ])('refuses a call that %s', (_, bad, says) => {
    const error = damage(() => readAgentSessions(`\n${session(bad)}`));
    expect(error.message).toContain(says);
    expect(error.where).toBe('agent sessions:2');
  });
});

describe('ChatDev', () => {
  it('orders calls of a run and knows who spoke', () => {
    const line = (call: number, sent: number): string =>
      JSON.stringify({
        ...{ run: 'r', call, phase: 'Coding', speaker: 'Programmer', sendS: sent, recvS: sent + 3 },
        ...{ promptTokens: 7, completionTokens: 5 },
      });
    const { programs } = readChatDevTrace(`${line(1, 4)}\n${line(0, 0)}`);
    expect(programs[0]!.calls).toMatchObject([
      { index: 0, role: 'Programmer', stage: 'Coding', serviceSeconds: 3 },
      { index: 1, arrival: 4, gapSeconds: 1 },
    ]);
    expect(damage(() => readChatDevTrace(`${line(1, 4)}\n${line(1, 9)}`)).message).toContain('twice');
  });
});

describe('every format', () => {
  it.each(formats)('%s: a part of the published trace is read, and its format told from its bytes', async (format) => {
    const trace = await openTrace(FILES[format]);
    const calls = callsByArrival(trace);
    expect(calls.length).toBeGreaterThan(50);
    for (const { id, calls: own } of trace.programs) {
      own.forEach((call, k) => {
        expect(call).toMatchObject({ program: id, index: k });
        expect(call.arrival).toBeGreaterThanOrEqual(own[k - 1]?.arrival ?? 0);
        if (call.blocks && trace.blockSize > 0) {
          expect(Math.abs(blockIds(call.blocks).length * trace.blockSize - call.promptTokens)).toBeLessThan(8 * 512);
        }
      });
    }
  });

  it.each(formats)('%s: damage gives an error that says where, never another one', async (format) => {
    const { gunzipSync } = await import('node:zlib');
    const file = await readFile(FILES[format]);
    const whole = FILES[format].endsWith('.gz') ? gunzipSync(file) : file;
    const bytes = whole.subarray(0, 6000);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.nat(bytes.length),
        async (changes, length) => {
          const damaged = Uint8Array.from(bytes.subarray(0, length));
          for (const [at, value] of changes) if (at < length) damaged[at] = value;
          try {
            await readTrace(damaged, { format });
          } catch (error) {
            expect(error).toBeInstanceOf(TuttiError);
            expect((error as TuttiError).code).toBe('FILE_INVALID');
          }
        },
      ),
      { numRuns: 60, seed: 5 },
    );
  });

  it('refuses damaged gzip, and what is no trace', async () => {
    const packed = await readFile(FILES.mooncake);
    await expect(readTrace(packed.subarray(0, packed.length - 40))).rejects.toMatchObject({ code: 'FILE_INVALID' });
    await expect(readTrace(new TextEncoder().encode('hello'))).rejects.toMatchObject({ code: 'FILE_INVALID' });
    await expect(openTrace('no/such/file')).rejects.toMatchObject({ code: 'FILE_INVALID' });
  });
});

it('block ids survive being made runs', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 60 }), (ids) => {
      expect([...blockIds(blockRuns(ids))]).toEqual(ids);
    }),
    { seed: 7 },
  );
});

it('samples know nothing of their own answer nor of later ones', async () => {
  const trace = await openTrace(FILES['agent-sessions']);
  for (const program of trace.programs) {
    const samples = samplesOfProgram(program, trace.name);
    const cut = Math.floor(samples.length / 2);
    // The same program with other answers from `cut` on: what is known up to and at `cut` stays the same.
    const other = {
      ...program,
      calls: program.calls.map((call, k) => (k < cut ? call : { ...call, outputTokens: 1, callsTool: false })),
    };
    const again = samplesOfProgram(other, trace.name);
    expect(again.slice(0, cut + 1).map(({ features }) => features)).toEqual(
      samples.slice(0, cut + 1).map(({ features }) => features),
    );
  }
  expect(samplesOfTrace(trace)).toHaveLength(trace.programs.length);
});
