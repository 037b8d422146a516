/**
 * Maestro's memory: a quantile of the predicted answer is set aside, one for each load: as much certainty as there is room for. Who outgrows it gets more;
 * when there is none, beginnings that nobody uses have gone already, and the stage whose loss is cheapest for its rank makes room.
 */
import { choosePause } from '../../llm/kv/pause-cost.js';
import { freeKvBytes, type Ticket } from '../decision.js';
import type { Provisioning } from './levels.js';

export interface MaestroProvisioningOptions {
  /** Probability with which a reservation is to be enough; `tight`: when memory is short. */
  readonly level?: number;
  readonly tight?: number;
  /** Part of a node's memory that is left free for those that outgrow their reservations, per overflow of late. */
  readonly headRoom?: number;
}

export function maestroProvisioning(options: MaestroProvisioningOptions = {}): Provisioning {
  const { level = 0.9, tight = 0.5, headRoom = 0.02 } = options;
  /** Overflows of late, by node: each makes admission more careful for a while. */
  const pressure: number[] = [];
  const noted: number[] = [];

  const decayed = (node: number, now: number): number =>
    (pressure[node] ?? 0) * 2 ** -((now - (noted[node] ?? 0)) / 10);

  return {
    name: 'maestro',
    note(change, { now }) {
      if (change.kind !== 'overflow') return;
      pressure[change.node] = Math.min(8, decayed(change.node, now) + 1);
      noted[change.node] = now;
    },
    reserve(ticket, { nodes }) {
      let roomy = false;
      for (let k = 0; k < nodes.length && k < 8; k++) {
        const node = nodes[(ticket.number + k) % nodes.length]!;
        if (node.alive && freeKvBytes(node) > 0.3 * (node.deviceBytes - node.weightBytes)) roomy = true;
      }
      const tokens = Math.ceil(ticket.prediction.quantile(roomy ? level : tight));
      // Who has outlived the reservation before gets twice what it had.
      return ticket.interruptions > 0 ? Math.max(tokens, 2 * ticket.generated) : tokens;
    },
    headRoom: (node, { now }) => headRoom * (0.5 + decayed(node.index, now)) * (node.deviceBytes - node.weightBytes),
    victim(node, running, worst, snapshot) {
      const bytesPerSecond = node.hostBytesPerSecond;
      const costOf = (ticket: Ticket): { readonly seconds: number; readonly keep: boolean } => {
        const tokens = ticket.stage.promptTokens + ticket.generated;
        const bytes = tokens * snapshot.models[ticket.model]!.kvBytesPerToken;
        return choosePause(tokens, bytes, { prefillTokensPerSecond: node.prefillRate(ticket.model), bytesPerSecond });
      };
      if (!worst) return undefined;
      // The last in rank, or one that is much cheaper to bring back and not among the first.
      let best = worst;
      let cost = costOf(worst);
      for (const ticket of running) {
        if (ticket.readyAt < worst.readyAt || ticket === worst) continue;
        const own = costOf(ticket);
        if (own.seconds >= 0.25 * cost.seconds) continue;
        best = ticket;
        cost = own;
      }
      return { ticket: best, keep: cost.keep };
    },
  };
}
