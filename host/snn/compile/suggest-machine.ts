/** The machine that a network needs: a given one, with every memory that is too small made large enough. */
import { throwIfAborted, TuttiError } from '../../errors.js';
import { MACHINE_LIMITS, DEFAULT_MACHINE, type MachineConfig } from '../machine/config.js';
import type { Program } from '../machine/program.js';
import type { FixedNetwork, FixedNetworkDescription, SpikingNetwork } from '../network.js';
import { defineNetwork } from '../validate.js';
import { compileNetwork, type CompileOptions } from './compile.js';
import type { Overflow } from './fit.js';
import { possibleOverflows } from './possible-overflows.js';

export interface Suggestion {
  readonly machine: MachineConfig;
  /** What was changed from the machine that was asked about; empty when the network fits it. */
  readonly changes: Partial<MachineConfig>;
  readonly program: Program;
}

/** Each round makes all memories large enough that were found too small; a partition for other memories may need more of one. */
const ROUNDS = 8;

/**
 * A machine like `options.machine` that the network fits: memories as large as they must be (powers of two where the machine wants them), and sums and
 * queues wide enough that they can be proved to hold, where that is possible at all.
 * @throws TuttiError what `compileNetwork` throws, LIMIT_EXCEEDED when no machine is large enough
 */
export function suggestMachine(
  description: SpikingNetwork | FixedNetworkDescription,
  options: CompileOptions = {},
): Suggestion {
  const asked = options.machine ?? DEFAULT_MACHINE;
  let machine = asked;
  for (let round = 0; ; round++) {
    throwIfAborted(options.signal, 'looking for a machine');
    let needs: readonly { readonly memory: keyof MachineConfig; readonly need: number }[];
    let program: Program | undefined;
    try {
      program = compileNetwork(description, { ...options, machine });
      const network = defineNetwork(description as FixedNetworkDescription) as FixedNetwork;
      needs = possibleOverflows(program, network).flatMap(({ memory, need }) =>
        need === undefined ? [] : [{ memory, need }],
      );
    } catch (error) {
      needs = overflowsOf(error);
      if (needs.length === 0 || round === ROUNDS) throw error;
    }
    const larger = enlarged(machine, needs);
    if (program !== undefined && (larger === undefined || round >= ROUNDS)) {
      const changes: Partial<Record<keyof MachineConfig, number>> = {};
      for (const field of Object.keys(machine) as (keyof MachineConfig)[])
        if (machine[field] !== asked[field]) changes[field] = machine[field];
      return { machine, changes: changes as Partial<MachineConfig>, program };
    }
    if (larger === undefined)
      throw new TuttiError(
        'LIMIT_EXCEEDED',
        `no machine is large enough: ${needs.map(({ memory, need }) => `${memory} would have to be ${need}, at most ${MACHINE_LIMITS[memory].most}`).join('; ')}`,
        { where: 'machine', facts: { overflows: needs } },
      );
    machine = larger;
  }
}

function overflowsOf(error: unknown): readonly Overflow[] {
  if (!(error instanceof TuttiError) || error.code !== 'LIMIT_EXCEEDED') return [];
  return (error.facts?.['overflows'] as readonly Overflow[] | undefined) ?? [];
}

/** undefined when there is nothing to enlarge, or nothing that can be. */
function enlarged(
  machine: MachineConfig,
  needs: readonly { readonly memory: keyof MachineConfig; readonly need: number }[],
): MachineConfig | undefined {
  const larger: Record<keyof MachineConfig, number> = { ...machine };
  for (const { memory, need } of needs) {
    const { most, power } = MACHINE_LIMITS[memory];
    const unit =
      memory === 'axons' ? machine.ports : memory === 'neurons' || memory === 'accumulators' ? machine.lanes : 1;
    const enough = power ? 2 ** Math.ceil(Math.log2(need)) : Math.ceil(need / unit) * unit;
    if (enough <= most) larger[memory] = Math.max(larger[memory], enough);
  }
  const changed = (Object.keys(larger) as (keyof MachineConfig)[]).some((field) => larger[field] !== machine[field]);
  return changed ? (larger as unknown as MachineConfig) : undefined;
}
