/** When the units of the machine were busy, as the cycle model tells it: what pictures and occupancy figures are made from. */

/** One machine step. All times are cycles since the sample's `begin`. */
export interface StepTrace {
  readonly step: number;
  /** The cycle in which its accumulation started: of `begin`, or of the barrier before. */
  readonly start: number;
  /** The barrier behind it: its merge, and the accumulation of the next step, start in this cycle. */
  readonly barrier: number;
  /** Cycle in which all its inputs and internal spikes had been added up, and what it was waiting for if that was not the barrier. */
  readonly accumulated: number;
  /** Axons that were issued: [issues][port, axon, cycle in which it could have been, cycle in which it was]. */
  readonly issues: readonly number[];
  /** Rows that were executed: [rows][SPU, axon, first cycle, cycles]. */
  readonly rows: readonly number[];
  /** Cycles in which the first and the last group entered the merge, after `barrier`. -1 without groups. */
  readonly sweepStart: number;
  readonly sweepEnd: number;
  /** Cycles in which the sweep waited for the delivery of spikes. */
  readonly sweepWaits: number;
  /** Spikes that were delivered: [spikes][neuron, first cycle, cycles]. */
  readonly deliveries: readonly number[];
  /** Cycle in which merge, delivery and read-out were over. */
  readonly merged: number;
}

export const ISSUE_FIELDS = 4;
export const ROW_FIELDS = 4;
export const DELIVERY_FIELDS = 3;
