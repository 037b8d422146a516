/**
 * Sessions of coding agents: one session a line, with its calls' tokens, times and KV blocks. The blocks of a call are the first `keep` of the previous
 * call's and the runs in `new`; a sub-agent stands among the calls as a session of its own, whose blocks begin with none and whose clock begins with it.
 */
import { jsonLines, type RecordReader, type Trace, type TraceCall, type TraceOptions } from './trace.js';

export const MAIN_AGENT = 'agent';

/** More blocks than a prompt can have: numbers above are damage. */
const MOST_BLOCKS = 2 ** 26;

/** @throws TuttiError FILE_INVALID */
export function readAgentSessions(text: string, options: TraceOptions = {}): Trace {
  const name = options.name ?? 'agent sessions';
  const seen = new Set<string>();
  let blockSize = 0;
  const programs = [...jsonLines(text, name)].map((session) => {
    const id = session.text('id');
    if (seen.has(id)) throw session.fail(`session ${id} comes twice`);
    seen.add(id);
    const block = session.count('block');
    if (block === 0 || (blockSize !== 0 && block !== blockSize)) {
      throw session.fail(`block is ${block}; sessions of one trace have blocks of one size above 0`);
    }
    blockSize = block;
    const calls: TraceCall[] = [];
    readCalls(
      session,
      { program: id, block, start: 0, role: MAIN_AGENT, agent: undefined, fields: ['sys', 'tool'] },
      calls,
    );
    calls.sort((a, b) => a.arrival - b.arrival);
    return { id, calls: calls.map((call, index) => ({ ...call, index })) };
  });
  return { name, clock: 'program', blockSize, blockScope: 'program', programs };
}

interface Agent {
  readonly program: string;
  readonly block: number;
  readonly start: number;
  readonly role: string;
  readonly agent: string | undefined;
  /** Where its tokens of the system prompt and of tools stand. */
  readonly fields: readonly [string, string];
}

function readCalls(owner: RecordReader, agent: Agent, into: TraceCall[]): void {
  let blocks: readonly number[] = [];
  let ended: number | undefined;
  const [system, tool] = agent.fields.map((field) => owner.optionalCount(field));
  owner.list('requests').forEach((value, k) => {
    const record = owner.within(value, `requests[${k}]`);
    const arrival = agent.start + record.seconds('t');
    if (record.has('requests')) {
      if (agent.agent !== undefined) throw record.fail(`requests[${k}] is a sub-agent of a sub-agent`);
      const role = record.optionalText('subagent_type') || 'subagent';
      readCalls(
        record,
        { ...agent, start: arrival, role, agent: record.text('agent_id'), fields: ['system_tokens', 'tool_tokens'] },
        into,
      );
      return;
    }
    const had = lengthOf(blocks);
    const keep = record.count('keep');
    if (keep > had) throw record.fail(`requests[${k}] keeps ${keep} blocks of the ${had} that the call before it had`);
    blocks = appendRuns(cutRuns(blocks, keep), record, k);
    const promptTokens = record.count('in');
    const count = record.count('blocks');
    if (lengthOf(blocks) !== count) {
      throw record.fail(`requests[${k}] says ${count} blocks; keep and new make ${lengthOf(blocks)}`);
    }
    const service = record.optionalSeconds('api');
    const [stop, brings, gives] = ['stop', 'it', 'ot'].map((field) => record.optionalText(field) ?? '');
    into.push({
      ...{ program: agent.program, index: 0, role: agent.role, arrival, promptTokens },
      ...(agent.agent === undefined ? {} : { agent: agent.agent }),
      ...(record.has('m') ? { model: record.text('m') } : {}),
      ...(ended === undefined ? {} : { gapSeconds: Math.max(0, arrival - ended) }),
      ...(service === undefined ? {} : { serviceSeconds: service }),
      ...(system === undefined ? {} : { systemTokens: system }),
      ...(tool === undefined ? {} : { toolTokens: tool }),
      ...(record.has('type') ? { streamed: record.text('type') === 's' } : {}),
      ...(gives === '' ? {} : { answerKinds: gives!.split('+') }),
      outputTokens: record.count('out'),
      sharedTokens: Math.min(promptTokens, keep * agent.block),
      blocks: Uint32Array.from(blocks),
      ...(brings === '' ? {} : { bringsToolResult: brings!.includes('tool_result') }),
      // A stream that was cut off says neither why it stopped nor what it gave.
      ...(stop === '' ? {} : { callsTool: stop === 'tool_use' || gives!.includes('tool_use') }),
    });
    ended = arrival + (service ?? 0);
  });
}

function lengthOf(runs: readonly number[]): number {
  let count = 0;
  for (let k = 1; k < runs.length; k += 2) count += runs[k]!;
  return count;
}

function cutRuns(runs: readonly number[], keep: number): number[] {
  const cut: number[] = [];
  for (let k = 0, left = keep; left > 0; k += 2) {
    const taken = Math.min(left, runs[k + 1]!);
    cut.push(runs[k]!, taken);
    left -= taken;
  }
  return cut;
}

function appendRuns(runs: number[], record: RecordReader, k: number): number[] {
  for (const run of record.list('new')) {
    const [first, count] = Array.isArray(run) ? (run as readonly unknown[]) : [];
    const whole = (value: unknown): value is number =>
      typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < MOST_BLOCKS;
    if (!whole(first) || !whole(count) || count === 0 || (run as readonly unknown[]).length !== 2) {
      throw record.fail(`requests[${k}].new holds ${JSON.stringify(run)?.slice(0, 40)}; runs are [first, count]`);
    }
    if (runs.length > 0 && runs.at(-2)! + runs.at(-1)! === first) runs[runs.length - 1]! += count;
    else runs.push(first, count);
  }
  return runs;
}
