/** Calls of ChatDev runs: one JSON object a line with run, phase, speaker and tokens. Calls of a run come one after another; seconds are coarse. */
import { jsonLines, type Trace, type TraceCall, type TraceOptions } from './trace.js';

/** @throws TuttiError FILE_INVALID */
export function readChatDevTrace(text: string, options: TraceOptions = {}): Trace {
  const name = options.name ?? 'chatdev trace';
  const runs = new Map<string, { call: number; read: TraceCall }[]>();
  for (const record of jsonLines(text, name)) {
    const run = record.text('run');
    const call = record.count('call');
    const [sent, received] = [record.seconds('sendS'), record.seconds('recvS')];
    if (received < sent) throw record.fail(`recvS ${received} lies before sendS ${sent}`);
    const calls = runs.get(run) ?? [];
    runs.set(run, calls);
    if (calls.some((other) => other.call === call)) throw record.fail(`call ${call} of run ${run} comes twice`);
    const read = {
      ...{ program: run, index: 0, role: record.text('speaker'), stage: record.text('phase'), arrival: sent },
      serviceSeconds: received - sent,
      promptTokens: record.count('promptTokens'),
      outputTokens: record.count('completionTokens'),
    };
    calls.push({ call, read });
  }
  const programs = [...runs].map(([id, calls]) => {
    calls.sort((a, b) => a.call - b.call);
    let ended: number | undefined;
    return {
      id,
      calls: calls.map(({ read }, index): TraceCall => {
        const gap = ended === undefined ? {} : { gapSeconds: Math.max(0, read.arrival - ended) };
        ended = read.arrival + read.serviceSeconds!;
        return { ...read, index, ...gap };
      }),
    };
  });
  return { name, clock: 'program', blockSize: 0, blockScope: 'program', programs };
}
