/** A predictor that has learned from a workload's past: what the scheduler would have seen of it, replayed first come first served. */
import { policyNamed } from '../maestro/policies/catalogue.js';
import { createBaselinePredictor } from '../maestro/predict/baselines.js';
import type { LengthPredictor, LengthSample } from '../maestro/predict/predictor.js';
import { trainLengthPredictor } from '../maestro/predict/train-predictor.js';
import { simulate, type SimulationOptions } from './simulator.js';

/** Answers of a workload with what was known of them before, by program. */
export function samplesOfWorkload(options: Pick<SimulationOptions, 'workload' | 'nodes'>): readonly LengthSample[][] {
  const programs = new Map<string, LengthSample[]>();
  const asked = createBaselinePredictor('role-mean');
  const predictor: LengthPredictor = {
    ...asked,
    observe(features, outputTokens, outcome) {
      asked.observe(features, outputTokens, outcome);
      const program = features.program ?? '';
      const list = programs.get(program);
      const sample = { features, outputTokens, ...outcome };
      if (list) list.push(sample);
      else programs.set(program, [sample]);
    },
  };
  simulate({ ...options, policy: policyNamed('fcfs'), predictor });
  return [...programs.values()];
}

export function trainOnWorkload(
  options: Pick<SimulationOptions, 'workload' | 'nodes'> & { readonly seed: number },
): LengthPredictor {
  return trainLengthPredictor(samplesOfWorkload(options), { seed: options.seed });
}
