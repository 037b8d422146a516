/** The models of a live cluster: by name, with the files that say what their prompts and their keys and values are. */
import { TuttiError } from '../../errors.js';
import { chatRenderer, promptTokens, type ChatRenderer } from '../../llm/engine/chat-prompt.js';
import type { TextEngine, TextRequest } from '../../llm/engine/text-engine.js';
import { kvBlockBytes } from '../../llm/kv/kv-memory.js';
import { decoderWeightBytes } from '../../llm/model/decoder-weights.js';
import { openGguf, type ModelFile } from '../../llm/model/model-file.js';
import type { Tokenizer } from '../../llm/tokenizer/tokenizer.js';
import type { ClusterModel } from '../decision.js';
import type { Open } from './live-node.js';
import type { DeviceNodeOptions, MaestroNode, NodeModel } from './options.js';

export type OpenClusterModel = Open<ClusterModel> & {
  /** Most tokens of a sequence on every node that has it; undefined where nobody knows. */
  context: number | undefined;
  chat: boolean;
  readonly tokenizer: Tokenizer | undefined;
  /** The prompt's tokens, where there is a tokenizer. @throws TuttiError INPUT_INVALID */
  promptTokens(request: TextRequest): Promise<number[] | undefined>;
};

export interface Cluster {
  readonly models: OpenClusterModel[];
  readonly index: ReadonlyMap<string, number>;
  /** What a device node opens a model from. */
  fileOf(model: NodeModel): ModelFile;
}

export const isDeviceNode = (node: MaestroNode): node is DeviceNodeOptions => 'device' in node;

/** Of a model that only engines elsewhere have, nobody knows how large its keys and values are. */
const UNKNOWN_KV_BYTES = 1;

/** @throws TuttiError OPTION_INVALID without a model; what opening a file throws */
export async function openCluster(nodes: readonly MaestroNode[], blockSize: number): Promise<Cluster> {
  const models: OpenClusterModel[] = [];
  const index = new Map<string, number>();
  const files = new Map<NodeModel['source'], ModelFile>();

  async function open(source: NodeModel['source']): Promise<ModelFile> {
    if ('tensors' in source) return source;
    const known = files.get(source);
    if (known) return known;
    return openGguf(source);
  }

  function add(model: OpenClusterModel): void {
    const at = index.get(model.name);
    if (at === undefined) {
      index.set(model.name, models.length);
      models.push(model);
      return;
    }
    // One name, several nodes: what all of them can do.
    const there = models[at]!;
    there.context = Math.min(there.context ?? Infinity, model.context ?? Infinity);
    if (there.context === Infinity) there.context = undefined;
    there.kvBytesPerToken = Math.max(there.kvBytesPerToken, model.kvBytesPerToken);
    there.weightBytes = Math.max(there.weightBytes, model.weightBytes);
  }

  // Files first: they know how prompts become tokens.
  for (const node of nodes.filter(isDeviceNode)) {
    for (const [name, given] of Object.entries(node.models)) {
      const file = await open(given.source);
      files.set(given.source, file);
      add(modelOfFile(name, file, given, blockSize));
    }
  }
  for (const node of nodes) {
    if (isDeviceNode(node)) continue;
    for (const [name, engine] of Object.entries(node.engines)) add(modelOfEngine(name, engine));
  }
  if (models.length === 0)
    throw new TuttiError('OPTION_INVALID', 'a scheduler needs a node with a model', { where: 'nodes' });
  return { models, index, fileOf: ({ source }) => files.get(source)! };
}

function modelOfFile(name: string, file: ModelFile, given: NodeModel, blockSize: number): OpenClusterModel {
  const { config, tokenizer } = file;
  const render: ChatRenderer | undefined = chatRenderer(file);
  return {
    ...{ name, tokenizer, chat: render !== undefined },
    weightBytes: decoderWeightBytes(file),
    kvBytesPerToken: kvBlockBytes(config, given.kv ?? 'f32', blockSize) / blockSize,
    context: Math.min(given.context ?? config.context, config.context),
    promptTokens: (request) => promptTokens(request, tokenizer, render),
  };
}

function modelOfEngine(name: string, engine: TextEngine): OpenClusterModel {
  return {
    ...{ name, chat: engine.chat, tokenizer: undefined, context: engine.context, weightBytes: 0 },
    ...{ kvBytesPerToken: UNKNOWN_KV_BYTES, promptTokens: () => Promise.resolve(undefined) },
  };
}
