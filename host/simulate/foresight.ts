/** What is still to come of a workflow, as only the workload knows it: for policies that are told the truth as an upper bound. */
import type { OpenProgram } from '../maestro/book.js';
import type { Foresight } from '../maestro/outlook.js';
import type { Stage } from '../maestro/workflow.js';
import type { WorkloadStage } from './workload.js';

/** `workflows`: all stages of a program, by its number. */
export function createForesight(
  workflows: ReadonlyMap<number, readonly WorkloadStage[]>,
  tokensOf: (stage: Stage) => number,
): Foresight {
  const paths = new WeakMap<readonly WorkloadStage[], Map<string, number>>();
  /** A workload's stage is enough of a stage for its cost. */
  const asStage = (stage: WorkloadStage): Stage =>
    ({
      ...stage,
      spec: stage,
      maxTokens: stage.maxTokens ?? 4096,
      promptTokens: stage.promptTokens ?? 1,
    }) as unknown as Stage;

  return {
    secondsAfter({ program, stage }, seconds) {
      const stages = workflows.get(program.number);
      if (!stages) return 0;
      let after = paths.get(stages);
      if (!after) {
        after = new Map();
        // Parents come before their children or the other way round: walk until nothing changes.
        for (let changed = true; changed;) {
          changed = false;
          for (let k = stages.length - 1; k >= 0; k--) {
            const child = stages[k]!;
            const own = asStage(child);
            const length = (child.toolSeconds ?? 0) + seconds(own, tokensOf(own)) + (after.get(child.id) ?? 0);
            for (const parent of child.parents ?? []) {
              if ((after.get(parent) ?? 0) >= length - 1e-9) continue;
              after.set(parent, length);
              changed = true;
            }
          }
        }
        paths.set(stages, after);
      }
      return after.get(stage.id) ?? 0;
    },
    workSeconds(program, seconds) {
      let work = 0;
      for (const stage of workflows.get(program.number) ?? []) {
        if ((program as OpenProgram).tickets.get(stage.id)?.phase === 'ended') continue;
        const own = asStage(stage);
        work += seconds(own, tokensOf(own));
      }
      return work;
    },
  };
}
