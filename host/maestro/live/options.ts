/** What a live scheduler is made of, as its caller says it. */
import type { Device } from '../../device/device.js';
import type { ByteSource } from '../../llm/byte-source.js';
import type { TextEngine } from '../../llm/engine/text-engine.js';
import type { KvPlan } from '../../llm/kv/kv-memory.js';
import type { ModelFile } from '../../llm/model/model-file.js';
import type { Policy } from '../decision.js';
import type { LengthPredictor } from '../predict/predictor.js';

/** A model that a device node may have on its device. */
export interface NodeModel {
  /** Stays its caller's to close; models that are parked may read it again. */
  readonly source: ByteSource | ModelFile;
  /** Most tokens of a sequence. Default: what the model was trained for. */
  readonly context?: number;
  /** How keys and values are packed. Default 'f32'. */
  readonly kv?: KvPlan;
  /** Blocks in its pool when it is loaded; the pool grows and shrinks from there. Default: four sequences, or half of what is free. */
  readonly blocks?: number;
}

/** A device of ours, with one or several models under its one memory budget: what of that is not taken when the node is made is for them. */
export interface DeviceNodeOptions {
  readonly name?: string;
  /** A function opens it again when it was lost; a device that is given stays lost. */
  readonly device: Device | (() => Promise<Device>);
  readonly models: Readonly<Record<string, NodeModel>>;
  /** On the device at first. Default: as many as fit in half of its memory, in turn from node to node. */
  readonly resident?: readonly string[];
  /** Bytes of host memory for weights of models that are parked. Default 2 GiB. */
  readonly hostBytes?: number;
  /** Most tokens and sequences in an iteration. Default 64 and 16. */
  readonly batchTokens?: number;
  readonly batchSequences?: number;
}

/** Engines that are somebody else's: stages are sent to them, and that is all that can be done. They stay open when the scheduler closes. */
export interface EngineNodeOptions {
  readonly name?: string;
  readonly engines: Readonly<Record<string, TextEngine>>;
  /** Most stages on it at once. Default 8. */
  readonly slots?: number;
}

export type MaestroNode = DeviceNodeOptions | EngineNodeOptions;

export interface MaestroLimits {
  /** Most stages of a workflow. Default 10,000. */
  readonly stages: number;
  /** Most workflows that are open at once. Default 10,000. */
  readonly workflows: number;
  /** Most tokens of a stage, prompt and answer together. Default: the largest context of any model. */
  readonly contextTokens: number;
  /** How often a stage begins again because nodes failed under it, before its caller is told. Default 8. */
  readonly attempts: number;
  /** Stages that a report remembers. Default 10,000. */
  readonly remembered: number;
  /** Seconds without a request after which a workflow that nobody ends counts as ended: those of the HTTP interface. Default 300. */
  readonly idleSeconds: number;
}

export interface MaestroOptions {
  readonly nodes: readonly MaestroNode[];
  /** A name of the catalogue, or one of your own. Default 'maestro'. */
  readonly policy?: string | Policy;
  /** Default: one that learns from the answers that it sees. */
  readonly predictor?: LengthPredictor;
  /** Tokens to a block of keys and values. Default 16. */
  readonly blockSize?: number;
  readonly limits?: Partial<MaestroLimits>;
}

export const DEFAULT_LIMITS: Omit<MaestroLimits, 'contextTokens'> = {
  ...{ stages: 10_000, workflows: 10_000, attempts: 8, remembered: 10_000, idleSeconds: 300 },
};
