/** Azure's LLM inference traces: CSV of timestamp, context tokens, generated tokens; one call a line, not sorted, nothing says what belongs together. */
import { linesOf, traceError, type Trace, type TraceOptions, type TraceProgram } from './trace.js';

const COLUMNS = ['TIMESTAMP', 'ContextTokens', 'GeneratedTokens'] as const;
const TIME = /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)?$/;

/** @throws TuttiError FILE_INVALID */
export function readAzureTrace(text: string, options: TraceOptions = {}): Trace {
  const name = options.name ?? 'azure trace';
  const calls: { at: number; promptTokens: number; outputTokens: number }[] = [];
  let places: readonly number[] | undefined;
  for (const { line, content } of linesOf(text)) {
    const cells = content.split(',').map((cell) => cell.trim());
    if (!places) {
      places = COLUMNS.map((column) => cells.indexOf(column));
      const missing = COLUMNS.filter((_, k) => places![k]! < 0);
      if (missing.length > 0)
        throw traceError(name, line, `the header lacks ${missing.join(', ')}; it must name ${COLUMNS.join(', ')}`);
      continue;
    }
    const [time, prompt, output] = places.map((place) => cells[place] ?? '');
    calls.push({
      at: secondsOf(time!, name, line),
      promptTokens: tokensOf(prompt!, COLUMNS[1], name, line),
      outputTokens: tokensOf(output!, COLUMNS[2], name, line),
    });
  }
  if (!places) throw traceError(name, 1, `the file is empty; its first line must name ${COLUMNS.join(', ')}`);
  calls.sort((a, b) => a.at - b.at);
  const start = calls[0]?.at ?? 0;
  const programs = calls.map(({ at, promptTokens, outputTokens }, k): TraceProgram => {
    const id = `azure-${k}`;
    // Rounded to what the file resolves, 0.1 microseconds, which doubles of this size do not quite hold.
    const arrival = Math.round((at - start) * 1e6) / 1e6;
    return { id, calls: [{ program: id, index: 0, arrival, promptTokens, outputTokens }] };
  });
  return { name, clock: 'trace', blockSize: 0, blockScope: 'program', programs };
}

function secondsOf(cell: string, name: string, line: number): number {
  const parts = TIME.exec(cell);
  const whole = parts ? Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}Z`) : NaN;
  if (Number.isNaN(whole)) {
    throw traceError(name, line, `TIMESTAMP must look like 2023-11-16 18:15:46.68, found "${cell.slice(0, 40)}"`);
  }
  return whole / 1000 + Number(`0.${parts?.[7] ?? '0'}`);
}

function tokensOf(cell: string, column: string, name: string, line: number): number {
  if (!/^\d{1,9}$/.test(cell)) {
    throw traceError(name, line, `${column} must be a whole number of tokens, found "${cell.slice(0, 40)}"`);
  }
  return Number(cell);
}
