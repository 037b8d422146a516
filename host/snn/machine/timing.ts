/**
 * Fixed latencies of the hardware in rtl/, in cycles. docs/suprasnn.md ("Micro-architecture and timing") has the figure behind each;
 * the tests in test/rtl hold the RTL to them.
 */
import { spusPerPort, type MachineConfig } from './config.js';

export interface MachineTiming {
  /** Input axons that wait in front of one port. */
  readonly inputFifo: number;
  /** From an axon's push to its look-up, and from there to its issue at the earliest. */
  readonly pushToFetch: number;
  readonly fetchToIssue: number;
  /** From a delivery's write into a queue to its look-up. */
  readonly deliverToFetch: number;
  /** From issue to the first operation. */
  readonly issueToStart: number;
  /** From the start of a row to when its place can be given again. */
  readonly startToCredit: number;
  /** From the cycle after the last operation until the SPU is quiet. */
  readonly spuDrain: number;
  /** From quiet to the barrier's pulse. */
  readonly quietToBarrier: number;
  /** From a barrier to the next. */
  readonly leastStep: number;
  /** From a group's entry until its spikes can be taken. */
  readonly groupToSpikes: number;
  /** Groups with spikes that may wait before the sweep pauses. */
  readonly spikeRoom: number;
  /** From the first cycle of a row's delivery to its write into a queue. */
  readonly deliver: number;
  /** From the cycle after the last delivery until delivery is quiet. */
  readonly deliveryDrain: number;
  /** From quiet to the first potential's entry. */
  readonly readStart: number;
  /** From quiet to the offer of the last word of `end`. */
  readonly end: number;
}

const SPIKE_FIFO = 64;

export function machineTiming(machine: MachineConfig): MachineTiming {
  const tree = Math.log2(spusPerPort(machine));
  const merge = Math.log2(machine.spus);
  return {
    inputFifo: 64,
    pushToFetch: 1,
    fetchToIssue: 1,
    deliverToFetch: 2,
    issueToStart: 3 + tree,
    startToCredit: 2,
    spuDrain: 3,
    quietToBarrier: 2,
    leastStep: Math.max(2, machine.classes + 1) + 1,
    groupToSpikes: 8 + merge,
    spikeRoom: SPIKE_FIFO - 1 - (7 + merge),
    deliver: 2,
    deliveryDrain: 2,
    readStart: 2,
    end: 6,
  };
}
