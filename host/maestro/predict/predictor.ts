/**
 * How long an answer will be, asked before it begins. One interface for the learned predictor, for every baseline and for the oracle, so that policies,
 * the simulator and the benchmarks exchange one for another.
 */

/** What a stage waits for. */
export interface StageParent {
  readonly role: string;
  /** Tokens it answered with; its prediction where it has not answered yet. */
  readonly tokens: number;
}

/** What is known of a stage before it runs. Nothing of its answer may be in here. */
export interface StageFeatures {
  readonly role: string;
  readonly model?: string | undefined;
  readonly systemPrompt?: string | undefined;
  readonly prompt?: string | undefined;
  readonly promptTokens: number;
  /** Of the prompt, how many begin an earlier prompt of the same program: what is new is the rest. */
  readonly sharedTokens?: number | undefined;
  /** Stages of the program that came before, whatever their role. */
  readonly stageIndex: number;
  /** Calls of this role in the program that came before. */
  readonly callsOfRole: number;
  /** Tokens of the last of those calls; undefined before the first. */
  readonly previousTokensOfRole?: number | undefined;
  readonly parents: readonly StageParent[];
  /** The tool whose result the prompt brings; undefined where it brings none. */
  readonly tool?: string | undefined;
  /** Tools that the stage may call. */
  readonly tools?: readonly string[] | undefined;
  /** The most tokens that sampling allows. */
  readonly maxTokens?: number | undefined;
  /** The workflow, session or conversation: what its earlier stages did is remembered by this name. */
  readonly program?: string | undefined;
  /** The step of the workflow's plan that it belongs to, where that has steps with names. */
  readonly step?: string | undefined;
  /** What the workflow is one of: its application, its task. */
  readonly workflow?: string | undefined;
  /** Seconds since the program's last answer: time in a tool, or of a person who thinks. */
  readonly gapSeconds?: number | undefined;
  readonly thinking?: boolean | undefined;
  /** Of the prompt: tokens of the system prompt, and of the definitions of tools. */
  readonly systemTokens?: number | undefined;
  readonly toolTokens?: number | undefined;
  /** Whether tokens are sent as they come. */
  readonly streaming?: boolean | undefined;
  /** What the program's last answer held: 'text', 'thinking', 'tool_use'. */
  readonly previousKinds?: readonly string[] | undefined;
  /** Stages that will wait for this one, as far as is known. */
  readonly fanOut?: number | undefined;
  readonly depth?: number | undefined;
}

/** What a stage did besides answering. */
export interface StageOutcome {
  /** The tool it called; empty when it called one without a name. Undefined when it called none. */
  readonly calledTool?: string | undefined;
}

export interface LengthPrediction {
  /** Tokens of the answer. */
  readonly median: number;
  readonly mean: number;
  /** Probability that the answer ends in a tool call. */
  readonly toolProbability: number;
  /** The length that an answer stays within with this probability. 0 < level < 1; grows with the level. */
  quantile(level: number): number;
}

export interface LengthPredictor {
  /** Changes nothing. */
  predict(features: StageFeatures): LengthPrediction;
  /** Learns from an answer that ended. `features` as they were before it began. */
  observe(features: StageFeatures, outputTokens: number, outcome?: StageOutcome): void;
  /** All of its state, as JSON can carry it; `loadPredictor` goes on from there to the bit. */
  save(): SavedPredictor;
}

/** An answer that ended, to learn from. */
export interface LengthSample {
  /** As they were before it began. */
  readonly features: StageFeatures;
  readonly outputTokens: number;
  readonly outcome?: StageOutcome | undefined;
}

export interface SavedPredictor {
  readonly kind: string;
  readonly version: number;
  readonly state: unknown;
}
