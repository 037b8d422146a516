/** Models that a command line names: files on one device, and servers elsewhere. */
import { basename } from 'node:path';
import { TuttiError } from '../errors.js';
import type { Device } from '../device/device.js';
import type { LanguageModelOptions } from '../llm/engine/engine.js';
import type { TextEngine } from '../llm/engine/text-engine.js';
import { openModel } from './llm/open-model.js';
import { packageFile } from './package-file.js';

export interface ModelChoice {
  /** FILE or NAME=FILE; none, and no server: the stories that come with the package. */
  readonly model?: readonly string[];
  /** Servers with OpenAI's interface, each URL, or URL#MODEL for one of their models. */
  readonly upstream?: readonly string[];
  readonly device?: string;
  readonly threads?: number;
  readonly context?: number;
  readonly blocks?: number;
  readonly kv?: string;
  /** A scheduling policy for all models together, on so many devices. */
  readonly policy?: string;
  readonly nodes?: number;
}

export interface OpenModels {
  readonly models: ReadonlyMap<string, TextEngine>;
  /** For people: what runs them. */
  readonly place: string;
  close(): Promise<void>;
}

/** Sequences of the whole context for which a pool may grow. */
const MOST_WHOLE_SEQUENCES = 16;
const BLOCK = 16;

/** @throws TuttiError OPTION_INVALID, FILE_INVALID, DEVICE_UNAVAILABLE; nothing stays open then */
export async function openModels(choice: ModelChoice): Promise<OpenModels> {
  if (choice.policy !== undefined) return (await import('./open-maestro.js')).openMaestro(choice, choice.policy);
  if (choice.nodes !== undefined)
    throw new TuttiError('OPTION_INVALID', '--nodes needs --policy, which shares work out between them', {
      where: '--nodes',
    });
  const { upstream = [], device: kind, threads } = choice;
  const given = modelFiles(choice);
  const models = new Map<string, TextEngine>();
  let device: Device | undefined;
  const add = (name: string, engine: TextEngine): void => void models.set(name, engine);
  const checkName = (name: string): void => {
    if (!models.has(name)) return;
    throw new TuttiError('OPTION_INVALID', `two models are called ${name}; give one another name: --model NAME=FILE`, {
      where: '--model',
    });
  };
  const close = async (): Promise<void> => {
    for (const engine of models.values()) await engine.close();
    await device?.close();
  };
  try {
    for (const text of given) {
      const { name, path } = named(text);
      checkName(name);
      device ??= await openDevice(kind, threads);
      add(name, await openFile(path, device, choice));
    }
    for (const address of upstream)
      for (const engine of await endpoints(address)) {
        checkName(engine.name);
        add(engine.name, engine);
      }
  } catch (error) {
    await close();
    throw error;
  }
  const place = [...(device ? [device.id] : []), ...upstream.map((address) => address.replace(/#.*$/, ''))].join(', ');
  return { models, place, close };
}

/** What is to be opened: FILE or NAME=FILE. */
export function modelFiles({ model, upstream = [] }: ModelChoice): readonly string[] {
  return model ?? (upstream.length > 0 ? [] : [packageFile('models/stories260k/stories260k-f32.gguf')]);
}

export function named(text: string): { readonly name: string; readonly path: string } {
  const [, name, path] = /^([^=/\\]+)=(.+)$/.exec(text) ?? [];
  if (name !== undefined && path !== undefined) return { name, path };
  return { name: basename(text).replace(/(-f32)?\.gguf$/, ''), path: text };
}

async function openFile(path: string, device: Device, { context, blocks, kv }: ModelChoice): Promise<TextEngine> {
  const { openLanguageModel } = await import('../llm/engine/engine.js');
  const file = await openModel(path);
  const tokens = Math.min(context ?? file.config.context, file.config.context);
  const options: LanguageModelOptions = {
    device,
    ...(context !== undefined && { context: tokens }),
    ...(blocks !== undefined ? { blocks } : { mostBlocks: MOST_WHOLE_SEQUENCES * Math.ceil(tokens / BLOCK) }),
    ...(kv !== undefined && { kv: kv as NonNullable<LanguageModelOptions['kv']> }),
  };
  return openLanguageModel(file, options).finally(() => file.close());
}

/** The models of a server; its key is in TUTTI_UPSTREAM_KEY. */
export async function endpoints(address: string): Promise<readonly TextEngine[]> {
  const { endpointModels, openAiEndpoint } = await import('../llm/elsewhere/openai-endpoint.js');
  const [url = '', model] = address.split('#');
  const key = process.env['TUTTI_UPSTREAM_KEY'];
  const apiKey = key === undefined ? {} : { apiKey: key };
  const names = model === undefined ? await endpointModels(url, key) : [model];
  return names.map((name) => openAiEndpoint({ url, model: name, ...apiKey }));
}

export async function openDevice(kind = 'wasm', threads?: number): Promise<Device> {
  if (kind === 'webgpu') return (await import('../device/webgpu.js')).createWebGpuDevice();
  if (kind !== 'wasm')
    throw new TuttiError('OPTION_INVALID', `--device is ${kind}; it must be wasm or webgpu`, { where: '--device' });
  const { createWasmDevice } = await import('../device/wasm.js');
  return createWasmDevice({ threads: threads ?? 'auto' });
}
