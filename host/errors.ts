/**
 * Every error that tutti throws on purpose. One base class, so that a caller can tell "tutti refused this, and here is
 * what to do" from a bug. `code` is stable and meant for programs; `message` is meant for people and always says what
 * was wrong, where, and what to do about it.
 */

export type TuttiErrorCode =
  | 'ABORTED'
  | 'DEVICE_UNAVAILABLE'
  | 'DEVICE_LOST'
  | 'DEVICE_CLOSED'
  | 'DEVICE_FAILED'
  | 'LIMIT_EXCEEDED'
  | 'MEMORY_REFUSED'
  | 'WORKFLOW_SHED'
  | 'KERNEL_ARGUMENT'
  | 'KERNEL_UNSUPPORTED'
  | 'BUFFER_RANGE'
  | 'BUFFER_RELEASED'
  | 'NETWORK_INVALID'
  | 'INPUT_INVALID'
  | 'FILE_INVALID'
  | 'OPTION_INVALID';

export interface TuttiErrorDetails {
  readonly cause?: unknown;
  /** Where: a path into the caller's own input ("projections[2].weights[17]"), a device id, a kernel name. */
  readonly where?: string;
  /** Machine-readable facts (need, budget, holders, limits). */
  readonly facts?: Readonly<Record<string, unknown>>;
}

export class TuttiError extends Error {
  override readonly name: string = 'TuttiError';
  readonly code: TuttiErrorCode;
  readonly where: string | undefined;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: TuttiErrorCode, message: string, details: TuttiErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.where = details.where;
    this.facts = details.facts ?? {};
  }
}

/** A device stopped being usable; work in flight on it is void and may be replayed elsewhere. */
export class DeviceLostError extends TuttiError {
  override readonly name: string = 'DeviceLostError';
  constructor(deviceId: string, reason: string, cause?: unknown) {
    super(
      'DEVICE_LOST',
      `device ${deviceId} was lost (${reason}); its buffers are gone, replay the work on another device`,
      {
        where: deviceId,
        cause,
        facts: { reason },
      },
    );
  }
}

/** A workflow that a scheduling policy gave up, because it could not be met any more. None of its stages runs on. */
export class WorkflowShedError extends TuttiError {
  override readonly name: string = 'WorkflowShedError';
  readonly workflow: string;
  readonly reason: string;
  constructor(workflow: string, reason: string) {
    super('WORKFLOW_SHED', `workflow ${workflow} was given up: ${reason}; ask for less, or with a later deadline`, {
      where: workflow,
      facts: { reason },
    });
    this.workflow = workflow;
    this.reason = reason;
  }
}

export interface MemoryHolder {
  readonly holder: string;
  readonly bytes: number;
}

/** An allocation that the device's memory budget cannot meet. Nothing was allocated. */
export class MemoryRefusedError extends TuttiError {
  override readonly name: string = 'MemoryRefusedError';
  readonly need: number;
  readonly budget: number;
  readonly inUse: number;
  readonly holders: readonly MemoryHolder[];
  constructor(
    deviceId: string,
    holder: string,
    need: number,
    budget: number,
    inUse: number,
    holders: readonly MemoryHolder[],
  ) {
    const largest = holders
      .slice(0, 3)
      .map((h) => `${h.holder} ${h.bytes} B`)
      .join(', ');
    super(
      'MEMORY_REFUSED',
      `device ${deviceId} refused ${need} B for "${holder}": ${inUse} B of its ${budget} B budget are in use` +
        (largest ? ` (largest holders: ${largest})` : '') +
        '; release buffers, use a smaller batch, or raise memoryBudget',
      { where: deviceId, facts: { holder, need, budget, inUse } },
    );
    this.need = need;
    this.budget = budget;
    this.inUse = inUse;
    this.holders = holders;
  }
}

/** Throws an ABORTED error when `signal` has fired; its `cause` is the signal's reason. */
export function throwIfAborted(signal: AbortSignal | undefined, doing: string): void {
  if (signal?.aborted) throw abortedError(signal, doing);
}

export function abortedError(signal: AbortSignal, doing: string): TuttiError {
  return new TuttiError('ABORTED', `${doing} was cancelled by its AbortSignal`, { cause: signal.reason });
}
