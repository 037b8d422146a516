/** Model files that a command line names, opened on one device. */
import { basename } from 'node:path';
import { TuttiError } from '../errors.js';
import type { Device } from '../device/device.js';
import type { LanguageModel } from '../llm/engine/engine.js';
import { packageFile } from './package-file.js';

export interface ModelChoice {
  /** FILE or name=FILE; none: the stories that come with the package. */
  readonly model?: readonly string[];
  readonly device?: string;
  readonly threads?: number;
  readonly context?: number;
  readonly blocks?: number;
}

export interface OpenModels {
  readonly models: ReadonlyMap<string, LanguageModel>;
  /** For people. */
  readonly device: string;
  close(): Promise<void>;
}

/** @throws TuttiError OPTION_INVALID, FILE_INVALID, DEVICE_UNAVAILABLE; nothing stays open then */
export async function openModels({
  model: given,
  device: kind,
  threads,
  context,
  blocks,
}: ModelChoice): Promise<OpenModels> {
  const files = (given ?? [packageFile('models/stories260k/stories260k-f32.gguf')]).map((text) => {
    const [, name, path] = /^([^=/\\]+)=(.+)$/.exec(text) ?? [];
    return path === undefined
      ? { name: basename(text).replace(/\.gguf$|-f32\.gguf$/g, ''), path: text }
      : { name: name!, path };
  });
  const twice = files.find(({ name }, k) => files.findIndex((other) => other.name === name) !== k);
  if (twice)
    throw new TuttiError(
      'OPTION_INVALID',
      `two models are called ${twice.name}; give one another name: --model NAME=FILE`,
      {
        where: '--model',
      },
    );
  const { fileSource } = await import('../llm/byte-source.js');
  const { openLanguageModel } = await import('../llm/engine/engine.js');
  const device = await openDevice(kind, threads);
  const models = new Map<string, LanguageModel>();
  const close = async (): Promise<void> => {
    for (const model of models.values()) await model.close();
    await device.close();
  };
  try {
    for (const { name, path } of files) {
      const source = await fileSource(path);
      const options = { device, ...(context !== undefined && { context }), ...(blocks !== undefined && { blocks }) };
      models.set(name, await openLanguageModel(source, options).finally(() => source.close()));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { models, device: device.id, close };
}

async function openDevice(kind = 'wasm', threads?: number): Promise<Device> {
  if (kind === 'webgpu') return (await import('../device/webgpu.js')).createWebGpuDevice();
  if (kind !== 'wasm')
    throw new TuttiError('OPTION_INVALID', `--device is ${kind}; it must be wasm or webgpu`, { where: '--device' });
  const { createWasmDevice } = await import('../device/wasm.js');
  return createWasmDevice({ threads: threads ?? 'auto' });
}
