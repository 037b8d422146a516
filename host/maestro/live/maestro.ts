/** The live scheduler: nodes under one policy, workflows of agents on them. */
import { TuttiError } from '../../errors.js';
import type { TextEngine } from '../../llm/engine/text-engine.js';
import type { Ticket } from '../decision.js';
import { policyNamed } from '../policies/catalogue.js';
import { createLearnedPredictor } from '../predict/learned-predictor.js';
import { isDeviceNode, openCluster, type Cluster } from './cluster.js';
import { openDeviceNode } from './device-node.js';
import { createEngineNode } from './engine-node.js';
import { createExecutor } from './executor.js';
import type { Job } from './job.js';
import type { LiveNode, NodeEvents } from './live-node.js';
import { DEFAULT_LIMITS, type DeviceNodeOptions, type MaestroLimits, type MaestroOptions } from './options.js';
import type { MaestroReport } from './report.js';
import { createTextFace } from './text-face.js';
import { openWorkflow, type WorkflowHandle, type WorkflowOptions } from './workflow-handle.js';

export interface Maestro {
  readonly policy: string;
  /** Names of the models that its nodes have. */
  readonly models: readonly string[];
  /**
   * Opens a workflow, whose stages are added as they become known.
   * @throws TuttiError INPUT_INVALID for a name that is taken or numbers out of range, LIMIT_EXCEEDED, ABORTED
   */
  workflow(options?: WorkflowOptions): WorkflowHandle;
  /**
   * One of its models as a text engine, for `serve` and whatever else takes one. Requests say in `metadata` which workflow they belong to; others are put together by
   * conversation. Closing it closes nothing.
   * @throws TuttiError INPUT_INVALID for a model that there is not
   */
  engine(model: string): TextEngine;
  report(): MaestroReport;
  /** Ends all stages, and closes models (and devices that it opened). */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Part of a node's memory that models take at first, beyond the first one. */
const FIRST_WEIGHTS = 0.5;

/**
 * Makes a scheduler over nodes and brings their first models to them.
 * @throws TuttiError OPTION_INVALID, and what opening devices and models throws; nothing stays open then
 */
export async function createMaestro(options: MaestroOptions): Promise<Maestro> {
  const { nodes, predictor = createLearnedPredictor(), blockSize = 16 } = options;
  if (nodes.length === 0)
    throw new TuttiError('OPTION_INVALID', 'a scheduler needs at least one node', { where: 'nodes' });
  const policy = typeof options.policy === 'object' ? options.policy : policyNamed(options.policy ?? 'maestro');
  const cluster = await openCluster(nodes, blockSize);
  const limits = limitsOf(options, cluster);
  const begun = performance.now();
  const now = (): number => (performance.now() - begun) / 1e3;
  // Nodes that nothing is brought to come last: who looks for room finds it on the others.
  const ordered = [...nodes.filter(isDeviceNode), ...nodes.filter((node) => !isDeviceNode(node))];

  async function openNodes(
    events: NodeEvents,
    jobOf: (ticket: Ticket) => Job | undefined,
  ): Promise<readonly LiveNode[]> {
    const opened: LiveNode[] = [];
    try {
      for (const [index, node] of ordered.entries()) {
        const name = node.name ?? `node-${index}`;
        if (isDeviceNode(node)) {
          const resident = residentOf(node, index, cluster);
          opened.push(
            await openDeviceNode({ index, name, options: node, cluster, blockSize, events, jobOf, resident }),
          );
        } else opened.push(createEngineNode({ index, name, options: node, cluster, events }));
      }
      return opened;
    } catch (error) {
      for (const node of opened) await node.close();
      throw error;
    }
  }

  const executor = await createExecutor({ cluster, policy, predictor, blockSize, limits, now, openNodes });
  const face = createTextFace(executor, cluster.models, limits);
  let workflows = 0;
  const maestro: Maestro = {
    policy: policy.name,
    models: cluster.models.map(({ name }) => name),
    workflow: (given = {}) => openWorkflow(executor, { ...given, id: given.id ?? `workflow-${++workflows}` }),
    engine(name) {
      const model = cluster.index.get(name);
      if (model !== undefined) return face.engine(model);
      throw new TuttiError(
        'INPUT_INVALID',
        `there is no model ${JSON.stringify(name)}; there are ${maestro.models.join(', ')}`,
        {
          where: 'model',
        },
      );
    },
    report: executor.report,
    close: executor.close,
    [Symbol.asyncDispose]: executor.close,
  };
  return maestro;
}

/** Models that are on a node's device at first. @throws TuttiError OPTION_INVALID for a name that the node has not */
function residentOf(node: DeviceNodeOptions, index: number, { index: modelIndex, models }: Cluster): number[] {
  const names = Object.keys(node.models);
  if (node.resident) {
    return node.resident.map((name) => {
      if (name in node.models) return modelIndex.get(name)!;
      throw new TuttiError('OPTION_INVALID', `a node is to have ${name} at first, which is not among its models`, {
        where: 'nodes.resident',
      });
    });
  }
  const budget = typeof node.device === 'function' ? Infinity : node.device.memory.budget - node.device.memory.inUse;
  const chosen: number[] = [];
  let bytes = 0;
  for (let k = 0; k < names.length; k++) {
    const model = modelIndex.get(names[(index + k) % names.length]!)!;
    const { weightBytes } = models[model]!;
    if (chosen.length > 0 && bytes + weightBytes > FIRST_WEIGHTS * budget) continue;
    bytes += weightBytes;
    chosen.push(model);
  }
  return chosen;
}

function limitsOf({ limits = {} }: MaestroOptions, { models }: Cluster): MaestroLimits {
  const contexts = models.map(({ context }) => context ?? 2 ** 20);
  const all: MaestroLimits = { ...DEFAULT_LIMITS, contextTokens: Math.max(...contexts), ...limits };
  for (const [name, value] of Object.entries(all) as [keyof MaestroLimits, number][]) {
    const whole = name === 'idleSeconds' || Number.isInteger(value);
    if (whole && value > 0) continue;
    throw new TuttiError('OPTION_INVALID', `limits.${name} is ${value}; it must be a number above 0`, {
      where: `limits.${name}`,
    });
  }
  return all;
}
