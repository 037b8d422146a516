/** The demo's second part: agents in workflows, on two nodes with the packaged language model, under Maestro; what was predicted, what came, and when. */
import pc from 'picocolors';
import type { MaestroReport, StageReport, WorkflowHandle } from '../maestro/index.js';
import { packageFile } from './package-file.js';

export interface AgentsResult {
  readonly report: MaestroReport;
  /** What the last workflow wrote. */
  readonly story: string;
}

const OPENINGS = ['Once upon a time', 'One day, a little boy', 'There was a big dog', 'Lily and her mom'];
const ROUNDS = 2;
const PARTS = ['The dog', 'The girl', 'Her mom'];
const COLUMNS = 64;
const BARS = ' ▁▂▃▄▅▆▇█';
const LETTERS: Readonly<Record<string, string>> = { planner: 'p', coder: 'c', critic: 'r', writer: 'w' };
/** Bytes of memory of each node. */
const NODE_BYTES = 16 * 2 ** 20;

export async function runAgents(write: (text: string) => void): Promise<AgentsResult> {
  const { createWasmDevice } = await import('../device/wasm.js');
  const { fileSource } = await import('../llm/byte-source.js');
  const { createMaestro } = await import('../maestro/index.js');
  const source = await fileSource(packageFile('models/stories260k/stories260k-f32.gguf'));
  const devices = [
    await createWasmDevice({ memoryBudget: NODE_BYTES }),
    await createWasmDevice({ memoryBudget: NODE_BYTES }),
  ];
  try {
    const nodes = devices.map((device) => ({ device, models: { stories: { source } } }));
    await using maestro = await createMaestro({ nodes });
    write(
      `\n${pc.bold(`${ROUNDS * OPENINGS.length} workflows of agents`)} (planner, three coders, critic, writer) on ${devices.length} nodes with a language model of 260,000 parameters, under the policy ${maestro.policy}\n`,
    );
    let story = '';
    for (let round = 0; round < ROUNDS; round++) {
      const stories = await Promise.all(
        OPENINGS.map((opening) =>
          writeStory(maestro.workflow({ application: 'stories', deadlineSeconds: 120 }), opening),
        ),
      );
      story = stories.at(-1)!;
    }
    const report = maestro.report();
    write(lengths(report));
    write(`\n${timeline(report)}`);
    write(`\n${memory(report)}`);
    write(`\n${pc.italic(story.replaceAll(/\s+/g, ' ').trim())}`);
    return { report, story };
  } finally {
    for (const device of devices) await device.close();
    await source.close();
  }
}

/** Agents whose answers end with a sentence, so that their lengths are not known beforehand. */
async function writeStory(workflow: WorkflowHandle, opening: string): Promise<string> {
  const asked = { model: 'stories', maxTokens: 100, temperature: 0.7, seed: opening.length };
  const planner = workflow.stage({ ...asked, role: 'planner', prompt: opening, stop: ['.'], fanOut: PARTS.length });
  const coders = PARTS.map((part) =>
    workflow.stage({
      ...{ ...asked, role: 'coder', parents: [planner], stop: ['.'] },
      prompt: (answers) => `${opening}${answers.get('planner')}. ${part}`,
    }),
  );
  const critic = workflow.stage({
    ...{ ...asked, role: 'critic', parents: coders, stop: ['.', '!'], maxTokens: 40 },
    prompt: (answers) => `${[...answers.values()].join('. ').slice(-300)}. She`,
  });
  const writer = workflow.stage({
    ...{ ...asked, role: 'writer', parents: [planner, critic] },
    prompt: (answers) => `${opening}${answers.get('planner')}. She${answers.get('critic')}.`,
  });
  const text = `${opening}${await planner.text()}. She${await critic.text()}.${await writer.text()}`;
  await workflow.end();
  return text;
}

/** By role: what was predicted and what came. */
function lengths({ stages }: MaestroReport): string {
  const mean = (list: readonly StageReport[], of: (stage: StageReport) => number): string =>
    (list.reduce((sum, stage) => sum + of(stage), 0) / list.length).toFixed(0);
  const rows = [['role', 'stages', 'predicted', '90 % within', 'came', 'set aside']];
  for (const role of Object.keys(LETTERS)) {
    const own = stages.filter((stage) => stage.role === role);
    rows.push([
      ...[`${LETTERS[role]} ${role}`, String(own.length), mean(own, (stage) => stage.predictedTokens)],
      ...[mean(own, (stage) => stage.predictedMost), mean(own, (stage) => stage.tokens)],
      mean(own, (stage) => stage.reservedTokens),
    ]);
  }
  const widths = rows[0]!.map((_, k) => Math.max(...rows.map((row) => row[k]!.length)));
  const lines = rows.map((row, r) => {
    const line = `  ${row.map((cell, k) => (k === 0 ? cell.padEnd(widths[k]!) : cell.padStart(widths[k]!))).join('  ')}`;
    return r === 0 ? pc.dim(line) : line;
  });
  const half = stages.length / 2;
  const off = (list: readonly StageReport[]): string =>
    mean(list, ({ tokens, predictedTokens }) => Math.abs(tokens - predictedTokens));
  const rounds = `${off(stages.slice(0, half))} off in the first round, when nothing was known, ${off(stages.slice(half))} in the second`;
  const second = stages.slice(half);
  const covered = second.filter(({ tokens, predictedMost }) => tokens <= predictedMost).length / second.length;
  return `${lines.join('\n')}\n  tokens, on average; ${rounds}; ${(100 * covered).toFixed(0)} % of the second within what was predicted for 90 %`;
}

/** Each node's stages as lines of letters, from when they began to when they ended. */
function timeline({ stages, nodes }: MaestroReport): string {
  const begin = Math.min(...stages.map(({ knownAt }) => knownAt));
  const end = Math.max(...stages.map(({ endedAt = 0 }) => endedAt));
  const column = (at: number): number =>
    Math.min(COLUMNS - 1, Math.floor(((at - begin) / Math.max(1e-9, end - begin)) * COLUMNS));
  const lines = [pc.dim(`  timeline, ${(end - begin).toFixed(2)} s across`)];
  for (const { name } of nodes) {
    const lanes: string[][] = [];
    const own = stages.filter(({ node, startedAt }) => node === name && startedAt !== undefined);
    for (const { role, startedAt, endedAt } of own.sort((a, b) => a.startedAt! - b.startedAt!)) {
      const [from, to] = [column(startedAt!), column(endedAt!)];
      let lane = lanes.find((each) => each.slice(from, to + 1).every((cell) => cell === ' '));
      if (!lane) lanes.push((lane = Array.from({ length: COLUMNS }, () => ' ')));
      lane.fill(LETTERS[role]!, from, to + 1);
    }
    lanes.forEach((lane, k) => lines.push(`  ${(k === 0 ? name : '').padEnd(8)}│${lane.join('')}│`));
  }
  return lines.join('\n');
}

function memory({ memory: samples, nodes, reservation }: MaestroReport): string {
  const [begin, end] = [samples[0]?.at ?? 0, samples.at(-1)?.at ?? 1];
  const most = Math.max(1, ...samples.map(({ committedBytes }) => committedBytes));
  const lines = [pc.dim(`  keys and values, ${(most / 1e6).toFixed(2)} MB high`)];
  for (const { name } of nodes) {
    const own = samples.filter(({ node }) => node === name);
    const row = (of: (sample: (typeof own)[number]) => number): string => {
      const peaks = new Array<number>(COLUMNS).fill(-1);
      for (const sample of own) {
        const k = Math.min(COLUMNS - 1, Math.floor(((sample.at - begin) / Math.max(1e-9, end - begin)) * COLUMNS));
        peaks[k] = Math.max(peaks[k]!, of(sample));
      }
      // Between two samples, what the first one saw.
      for (let k = 0; k < COLUMNS; k++) if (peaks[k]! < 0) peaks[k] = k > 0 ? peaks[k - 1]! : 0;
      return peaks.map((peak) => BARS[Math.ceil((peak / most) * (BARS.length - 1))]!).join('');
    };
    lines.push(`  ${name.padEnd(8)}│${pc.cyan(row(({ committedBytes }) => committedBytes))}│ set aside`);
    lines.push(`  ${''.padEnd(8)}│${pc.green(row(({ usedBytes }) => usedBytes))}│ in use`);
  }
  const part = (100 * (1 - reservation.committed / Math.max(1, reservation.maxLength))).toFixed(0);
  return `${lines.join('\n')}\n  ${part} % less set aside than for prompts and longest answers`;
}
