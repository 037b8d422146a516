/** What a lease asks for, which devices fit it, and why a pool can never meet it. Pure functions of the pool's members. */
import { TuttiError } from '../errors.js';
import type { Device, DeviceKind } from './device.js';

export interface LeaseRequest {
  /**
   * One kind, or several in order of preference: the most preferred device that is free now is taken. Default: any that runs all kernels,
   * which 'fpga' does not.
   */
  readonly kind?: DeviceKind | readonly DeviceKind[];
  /** How many devices. Default 1. */
  readonly count?: number;
  /** Each device's memory budget must be at least this. Devices with as much still unused are preferred. Default 0. */
  readonly bytes?: number;
  /** Names of members that will not do. */
  readonly exclude?: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** What is to be known of a member of a pool here. */
export interface Candidate {
  readonly member: { readonly name: string; readonly kind: DeviceKind };
  readonly state: string;
  readonly device: Device | undefined;
  /** Restarts since work last ended well on it. */
  readonly restarts: number;
  readonly error: unknown;
}

/** The devices to take for `request`, or, where there are too few yet, those to keep for it. */
export function chooseDevices<C extends Candidate>(
  request: LeaseRequest,
  free: readonly C[],
): { readonly chosen: readonly C[]; readonly enough: boolean } {
  const { count = 1, bytes = 0 } = request;
  const kinds = kindsOf(request);
  const preference = ({ member }: C): number => (kinds ? kinds.indexOf(member.kind) : 0);
  const crowded = ({ device }: C): number => (device!.memory.budget - device!.memory.inUse >= bytes ? 0 : 1);
  const fitting = free.filter((candidate) => wanted(request, candidate) && largeEnough(request, candidate));
  // A device that was lost lately comes after its equals. Otherwise they stay in the order of the pool's members.
  const chosen = fitting
    .sort((a, b) => preference(a) - preference(b) || crowded(a) - crowded(b) || a.restarts - b.restarts)
    .slice(0, count);
  return { chosen, enough: chosen.length === count };
}

/** The error to refuse `request` with when no waiting can help, else undefined. */
export function whyNever(request: LeaseRequest, members: readonly Candidate[]): TuttiError | undefined {
  const { count = 1, bytes = 0 } = request;
  const alive = members.filter((m) => wanted(request, m) && m.state !== 'failed' && m.state !== 'closed');
  const fitting = alive.filter((m) => largeEnough(request, m));
  if (fitting.length >= count) return undefined;
  const kinds = kindsOf(request);
  const asked = `${count} ${kinds ? kinds.join(' or ') : ''} device${count > 1 ? 's' : ''}`.replace('  ', ' ');
  if (alive.length >= count) {
    const budgets = alive.flatMap((m) => (m.device ? [{ device: m.device.id, budget: m.device.memory.budget }] : []));
    return new TuttiError(
      'MEMORY_REFUSED',
      `no lease of ${asked} with ${bytes} B each: the budgets are ${budgets.map((b) => `${b.device} ${b.budget} B`).join(', ')}; ` +
        'ask for less, or raise memoryBudget',
      { facts: { need: bytes, budgets } },
    );
  }
  const there = members.map(describe);
  const excluded = request.exclude?.length ? ` other than ${request.exclude.join(', ')}` : '';
  const cause = members.find((m) => wanted(request, m) && m.error !== undefined)?.error;
  return new TuttiError(
    'DEVICE_UNAVAILABLE',
    `no lease of ${asked}${excluded}: the pool has ${there.length ? there.join('; ') : 'no members'}; ask for what there is, or add a member`,
    { facts: { kinds: kinds ?? 'any', count, members: there }, ...(cause === undefined ? {} : { cause }) },
  );
}

function kindsOf({ kind }: LeaseRequest): readonly DeviceKind[] | undefined {
  return typeof kind === 'string' ? [kind] : kind;
}

function wanted(request: LeaseRequest, { member }: Candidate): boolean {
  const kinds = kindsOf(request);
  return (kinds ? kinds.includes(member.kind) : member.kind !== 'fpga') && !request.exclude?.includes(member.name);
}

/** A device that is not open yet may be large enough. */
function largeEnough({ bytes = 0 }: LeaseRequest, { device }: Candidate): boolean {
  return !device || device.memory.budget >= bytes;
}

function describe({ member, state, error }: Candidate): string {
  const why =
    (state === 'failed' || state === 'closed') && error !== undefined
      ? `: ${error instanceof Error ? error.message : String(error)}`
      : '';
  return `${member.name} (${member.kind}, ${state}${why})`;
}
