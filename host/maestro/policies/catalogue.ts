/** Policies by name: each the levels that its authors put together, or the best of what there is where they say nothing about a level. */
import { TuttiError } from '../../errors.js';
import type { Policy } from '../decision.js';
import { composePolicy } from './compose.js';
import type { PolicyLevels } from './levels.js';
import { maestroOrdering } from './maestro-ordering.js';
import { maestroProvisioning } from './maestro-provisioning.js';
import { maestroResidency } from './maestro-residency.js';
import { maestroRouting } from './maestro-routing.js';
import { edf, fcfs, leastLaxity, plas, programPausing, sjf } from './ordering.js';
import { maxLength, onDemand } from './provisioning.js';
import { fixedModels, leastRecentlyUsed } from './residency.js';
import { kvCost, leastLoaded, prefixAffinity, programAffinity, roundRobin } from './routing.js';

type Make = () => PolicyLevels;

const paged = (): Pick<PolicyLevels, 'provisioning' | 'residency'> => ({
  provisioning: onDemand(),
  residency: leastRecentlyUsed(),
});

const POLICIES: Readonly<Record<string, Make>> = {
  fcfs: () => ({ ordering: fcfs(), routing: leastLoaded(), ...paged() }),
  'fcfs-round-robin': () => ({ ordering: fcfs(), routing: roundRobin(), ...paged() }),
  'fcfs-max-length': () => ({ ordering: fcfs(), routing: leastLoaded(), ...paged(), provisioning: maxLength() }),
  'fcfs-fixed-models': () => ({ ordering: fcfs(), routing: leastLoaded(), ...paged(), residency: fixedModels() }),
  edf: () => ({ ordering: edf(), routing: prefixAffinity(), ...paged() }),
  'edf-preemptive': () => ({ ordering: edf({ preemptive: true }), routing: prefixAffinity(), ...paged() }),
  sjf: () => ({ ordering: sjf(), routing: prefixAffinity(), ...paged() }),
  srpt: () => ({ ordering: sjf({ remaining: true }), routing: prefixAffinity(), ...paged() }),
  'least-laxity': () => ({ ordering: leastLaxity(), routing: prefixAffinity(), ...paged() }),
  plas: () => ({ ordering: plas(), routing: programAffinity(), ...paged() }),
  'program-pausing': () => ({ ordering: programPausing(), routing: programAffinity({ longTokens: 0 }), ...paged() }),
  maestro: () => ({
    ...{ ordering: maestroOrdering(), routing: maestroRouting() },
    ...{ provisioning: maestroProvisioning(), residency: maestroResidency() },
  }),
  'kv-routing': () => ({ ordering: fcfs(), routing: kvCost(), ...paged() }),
};

export const POLICY_NAMES: readonly string[] = Object.keys(POLICIES);

/** A fresh one: a policy remembers what it has seen. @throws TuttiError OPTION_INVALID for a name that there is not */
export function policyNamed(name: string, instead: Partial<PolicyLevels> = {}): Policy {
  const make = POLICIES[name];
  if (make) return composePolicy(name, { ...make(), ...instead });
  throw new TuttiError(
    'OPTION_INVALID',
    `there is no policy ${JSON.stringify(name)}; there are ${POLICY_NAMES.join(', ')}`,
    {
      where: 'policy',
    },
  );
}
