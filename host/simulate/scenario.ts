/** Set-ups that comparisons begin from, so that the command, the benchmarks and the tests mean the same by them. */
import type { Workload } from './workload.js';
import { MODEL_SHAPES, profileNamed, type DeviceProfile } from './profiles.js';
import type { SimulatedNodeSpec } from './simulator.js';
import { generateWorkload, type WorkflowShape } from './workload/generate.js';
import type { ModelShape } from './workload.js';
import { TuttiError } from '../errors.js';

export interface AgentScenarioOptions {
  /** Default 1500. */
  readonly workflows?: number;
  /** Default 4. */
  readonly nodes?: number;
  /** Device of every node. Default 'a100-40gb'. */
  readonly profile?: string | DeviceProfile;
  /** Default: llama-3.1-8b, qwen2.5-3b, qwen2.5-1.5b, one for each kind of role. */
  readonly models?: readonly (string | ModelShape)[];
  readonly shapes?: Partial<Readonly<Record<WorkflowShape, number>>>;
  /** Deadlines, in multiples of what a workflow takes by itself at 20 ms a token. Default 1.5 to 6. */
  readonly slack?: readonly [number, number];
}

export interface Scenario {
  readonly workload: (seed: number) => Workload;
  readonly training: Workload;
  readonly nodes: readonly SimulatedNodeSpec[];
}

/** @throws TuttiError OPTION_INVALID */
export function modelShapeNamed(name: string): ModelShape {
  const found = MODEL_SHAPES.find((model) => model.name === name);
  if (found) return found;
  const names = MODEL_SHAPES.map((model) => model.name).join(', ');
  throw new TuttiError('OPTION_INVALID', `there is no model shape ${JSON.stringify(name)}; there are ${names}`, {
    where: 'models',
  });
}

/** So many that what a cluster does is not mostly its coming to an end. */
const TRAINING_WORKFLOWS = 1500;

/** Four kinds of agent workflows over three models that do not all fit on every device, half of them interactive, four tenants. @throws TuttiError OPTION_INVALID */
export function agentScenario(options: AgentScenarioOptions = {}): Scenario {
  const { workflows = 1500, nodes = 4, profile = 'a100-40gb', slack = [1.5, 6], shapes } = options;
  const models = (options.models ?? ['llama-3.1-8b', 'qwen2.5-3b', 'qwen2.5-1.5b']).map((model) =>
    typeof model === 'string' ? modelShapeNamed(model) : model,
  );
  const device = typeof profile === 'string' ? profileNamed(profile) : profile;
  const make = (seed: number, count: number): Workload =>
    generateWorkload({
      ...{ seed, workflows: count, models, slack, rate: 1, secondsPerToken: 0.02, tenants: 4 },
      ...(shapes && { shapes }),
    });
  return {
    workload: (seed) => make(seed, workflows),
    training: make(1000, Math.max(workflows, TRAINING_WORKFLOWS)),
    nodes: Array.from({ length: nodes }, () => ({ profile: device })),
  };
}
