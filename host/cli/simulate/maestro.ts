/** `tutti simulate maestro`: policies against each other on agent workflows, generated or of a trace. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import pc from 'picocolors';
import { TuttiError } from '../../errors.js';
import { POLICY_NAMES } from '../../maestro/policies/catalogue.js';
import type { ExperimentReport } from '../../simulate/experiment.js';
import { MODEL_SHAPES, parseProfile, profileNamed, PROFILES, type DeviceProfile } from '../../simulate/profiles.js';
import type { ModelShape } from '../../simulate/workload.js';
import { wholeNumber } from '../number-option.js';
import { packageFile } from '../package-file.js';
import { progressBar } from '../progress-bar.js';
import { table } from '../table.js';

interface Options {
  readonly policies: string;
  readonly loads: readonly number[];
  readonly seeds: number;
  readonly nodes: number;
  readonly device: string;
  readonly models?: string;
  readonly workflows: number;
  readonly trace?: string;
  readonly firstToken?: number;
  readonly latency?: number;
  readonly html?: string;
  readonly json?: string | true;
}

const DEFAULT_MODELS = ['llama-3.1-8b', 'qwen2.5-3b', 'qwen2.5-1.5b'];

function numbers(text: string): number[] {
  const found = text.split(',').map(Number);
  if (text.trim() !== '' && found.every((value) => value > 0 && value <= 100)) return found;
  throw new InvalidArgumentError('It must be numbers above 0 with commas between them, like 0.5,1,1.5.');
}

function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('It must be a number of seconds above 0.');
}

export function register(group: Command): void {
  const names = (list: readonly { readonly name: string }[]): string => list.map(({ name }) => name).join(', ');
  const command = group
    .command('maestro')
    .description('which policy meets most deadlines of agent workflows, by load')
    .option('--policies <names>', `of ${POLICY_NAMES.join(', ')}, oracle`, 'fcfs,edf,least-laxity,plas,maestro,oracle')
    .option('--loads <numbers>', 'multiples of what the cluster can do', numbers, [0.5, 1, 1.5])
    .option('--seeds <count>', 'workloads, each made from another seed', wholeNumber(1), 3)
    .option('--nodes <count>', 'devices', wholeNumber(1), 4)
    .option('--device <name>', `what they are: ${names(PROFILES)}, or a file that \`tutti profile\` wrote`, 'a100-40gb')
    .option(
      '--models <names>',
      `of ${names(MODEL_SHAPES)} (default: llama-3.1-8b,qwen2.5-3b,qwen2.5-1.5b, or what the file of the device measured)`,
    )
    .option('--workflows <count>', 'in each workload; short ones are over before queues grow', wholeNumber(1), 1000)
    .option(
      '--trace <file>',
      'calls of an Azure, Mooncake, agent-sessions or ChatDev trace instead; the first model serves',
    )
    .option('--first-token <seconds>', 'target of every call of a trace', seconds)
    .option('--latency <seconds>', 'target of every call of a trace', seconds)
    .option('--html <file>', 'write a report with plots')
    .option('--json [file]', 'write everything as JSON, to standard output without a file')
    .action(async (options: Options) => {
      const { comparePolicies } = await import('../../simulate/experiment.js');
      const scenario = await scenarioOf(options);
      const bar = await progressBar('');
      let report: ExperimentReport;
      try {
        report = await comparePolicies({
          ...scenario,
          contenders: options.policies.split(',').map((name) => name.trim()),
          loads: options.loads,
          seeds: Array.from({ length: options.seeds }, (_, k) => k + 1),
          onProgress: ({ done, all, name }) => bar.onProgress({ done, total: all, what: name }),
        });
      } finally {
        bar.stop();
      }
      const write = (text: string): void => command.configureOutput().writeOut?.(text);
      if (options.json === true) write(`${asJson(report)}\n`);
      else {
        if (options.json !== undefined) save(options.json, asJson(report));
        write(draw(report));
      }
      if (options.html !== undefined) {
        const { renderReport } = await import('../../simulate/report-html.js');
        const file = (name: string): string => readFileSync(packageFile(`dist/uplot/${name}`), 'utf8');
        const library = { script: file('uPlot.iife.min.js'), style: file('uPlot.min.css') };
        const what = options.trace ?? `${options.workflows} generated workflows`;
        save(
          options.html,
          renderReport(report, library, `${what} on ${options.nodes} x ${scenario.nodes[0]!.profile.name}`),
        );
        if (options.json !== true) write(`report: ${options.html}\n`);
      }
    });
}

async function scenarioOf(options: Options) {
  const { agentScenario, modelShapeNamed } = await import('../../simulate/scenario.js');
  const { nodes, workflows, trace: path } = options;
  const profile = options.device.endsWith('.json') ? await profileOf(options.device) : options.device;
  const own = typeof profile === 'string' ? undefined : profile.models;
  const named = (name: string): ModelShape => own?.find((model) => model.name === name) ?? modelShapeNamed(name);
  const models = options.models?.split(',').map((name) => named(name.trim())) ?? own ?? DEFAULT_MODELS.map(named);
  if (path === undefined) return agentScenario({ nodes, profile, models, workflows });
  const { openTrace } = await import('../../simulate/traces/open-trace.js');
  const { workloadOfTrace } = await import('../../simulate/trace-workload.js');
  const trace = await openTrace(path);
  return {
    nodes: Array.from({ length: nodes }, () => ({
      profile: typeof profile === 'string' ? profileNamed(profile) : profile,
    })),
    workload: (seed: number) =>
      workloadOfTrace(trace, {
        ...{ model: models[0]!, seed, programs: workflows },
        ...(options.firstToken !== undefined && { firstTokenSeconds: options.firstToken }),
        ...(options.latency !== undefined && { latencySeconds: options.latency }),
      }),
  };
}

async function profileOf(path: string): Promise<DeviceProfile> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new TuttiError('FILE_INVALID', `${path} cannot be read; check the path`, { where: path, cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TuttiError('FILE_INVALID', `${path} is not JSON; \`tutti profile --out\` writes such files`, {
      ...{ where: path, cause },
    });
  }
  return parseProfile(value, path);
}

function save(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new TuttiError('FILE_INVALID', `${path} cannot be written; check the folder`, { where: path, cause });
  }
}

function asJson({ cells, ...rest }: ExperimentReport): string {
  const plain = cells.map(({ results, ...cell }) => ({
    ...cell,
    // Series are for plots; figures stay.
    results: results.map(({ memory: _memory, spans: _spans, latencies: _latencies, ...result }) => result),
  }));
  return JSON.stringify({ ...rest, cells: plain }, null, 2);
}

function draw(report: ExperimentReport): string {
  const { names, loads, cells, capacity } = report;
  const best = loads.map((load) =>
    Math.max(...cells.filter((c) => c.load === load && c.name !== 'oracle').map(({ attained }) => attained.mean)),
  );
  const rows = names.map((name) => [
    name,
    ...loads.map((load, k) => {
      const { attained } = cells.find((c) => c.name === name && c.load === load)!;
      const half = Number.isFinite(attained.half) ? ` ±${(100 * attained.half).toFixed(1)}` : '';
      const text = `${(100 * attained.mean).toFixed(1)}${half}`;
      return attained.mean === best[k] && name !== 'oracle' ? pc.bold(text) : text;
    }),
  ]);
  const title = `Workflows that met what was asked, %, by load (1 is ${capacity.toPrecision(3)} workflows/s)`;
  return `${title}\n${table(['policy', ...loads.map(String)], rows)}\n${report.note}\n`;
}
