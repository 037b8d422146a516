/** A workflow under way, as the live executor keeps it. */
import { TuttiError } from '../../errors.js';
import type { TextRequest } from '../../llm/engine/text-engine.js';
import type { OpenProgram } from '../book.js';
import type { StageSpec } from '../workflow.js';
import type { OpenAnswer } from './answer.js';
import type { OpenStageReport } from './report.js';

/** What a stage is to be asked, when its parents' answers are there; they are given by the stages' names. */
export type StageInput = TextRequest | ((answers: ReadonlyMap<string, string>) => TextRequest | Promise<TextRequest>);

/** A stage that was accepted. */
export interface StagePlan {
  readonly spec: StageSpec;
  readonly input: StageInput;
  readonly answer: OpenAnswer;
}

export interface LiveProgram {
  readonly program: OpenProgram;
  readonly plans: Map<string, { readonly plan: StagePlan; readonly record: OpenStageReport }>;
  /** Stages that have not ended. */
  open: number;
  /** No further stage will come. */
  complete: boolean;
  /** A stage of it failed or was cancelled: nothing is learned of what follows what. */
  spoiled: boolean;
  /** Why it takes no stage any more. */
  refusal: TuttiError | undefined;
  /** When a stage last came or ended. */
  touchedAt: number;
  readonly whenClosed: (() => void)[];
}

export function createLiveProgram(program: OpenProgram, now: number): LiveProgram {
  return {
    ...{ program, plans: new Map(), open: 0, complete: false, spoiled: false, refusal: undefined },
    ...{ touchedAt: now, whenClosed: [] },
  };
}

export const schedulerClosed = (): TuttiError =>
  new TuttiError('ABORTED', 'the scheduler was closed; its stages have ended', { where: 'maestro' });

export const workflowOver = ({ program }: LiveProgram): TuttiError =>
  new TuttiError('INPUT_INVALID', `workflow ${program.workflow.id} has ended; open another`, { where: 'workflow' });

/** A stage whose parent has no answer has none either. */
export function withoutParent(stage: string, parent: string, cause: unknown): TuttiError {
  const code = cause instanceof TuttiError ? cause.code : 'ABORTED';
  return new TuttiError(code, `stage ${stage} waits for ${parent}, which has no answer`, { where: stage, cause });
}

export const noNodeFor = (model: string): TuttiError =>
  new TuttiError('DEVICE_UNAVAILABLE', `no node is left that can run the model ${model}`, { where: model });
