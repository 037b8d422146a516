/** Models that a command line names, under one scheduling policy on one device or several, and servers elsewhere as further nodes. */
import { availableParallelism } from 'node:os';
import { TuttiError } from '../errors.js';
import type { Device } from '../device/device.js';
import type { TextEngine } from '../llm/engine/text-engine.js';
import type { ModelFile } from '../llm/model/model-file.js';
import { createMaestro } from '../maestro/live/maestro.js';
import type { MaestroNode, NodeModel } from '../maestro/live/options.js';
import { policyNamed } from '../maestro/policies/catalogue.js';
import { openModel } from './llm/open-model.js';
import { endpoints, modelFiles, named, openDevice, type ModelChoice, type OpenModels } from './open-models.js';

/** @throws TuttiError OPTION_INVALID, FILE_INVALID, DEVICE_UNAVAILABLE; nothing stays open then */
export async function openMaestro(choice: ModelChoice, policy: string): Promise<OpenModels> {
  const { nodes: count = 1, upstream = [], context, blocks, kv } = choice;
  // Before anything is opened, which may take long.
  policyNamed(policy);
  const files: ModelFile[] = [];
  const devices: Device[] = [];
  const endpointEngines: TextEngine[] = [];
  const close = async (): Promise<void> => {
    for (const engine of endpointEngines) await engine.close();
    for (const file of files) await file.close();
    for (const device of devices) await device.close();
  };
  try {
    const models: Record<string, NodeModel> = {};
    for (const text of modelFiles(choice)) {
      const { name, path } = named(text);
      if (name in models)
        throw new TuttiError(
          'OPTION_INVALID',
          `two models are called ${name}; give one another name: --model NAME=FILE`,
          {
            where: '--model',
          },
        );
      const source = await openModel(path);
      files.push(source);
      models[name] = {
        source,
        ...(context !== undefined && { context: Math.min(context, source.config.context) }),
        ...(blocks !== undefined && { blocks }),
        ...(kv !== undefined && { kv: kv as NonNullable<NodeModel['kv']> }),
      };
    }
    const nodes: MaestroNode[] = [];
    if (files.length > 0) {
      // Devices share the processors.
      const threads = choice.threads ?? Math.max(1, Math.floor(availableParallelism() / count));
      for (let k = 0; k < count; k++) {
        devices.push(await openDevice(choice.device, threads));
        nodes.push({ name: `${devices[k]!.kind}-${k}`, device: devices[k]!, models });
      }
    }
    for (const address of upstream) {
      const engines = await endpoints(address);
      endpointEngines.push(...engines);
      nodes.push({ name: address, engines: Object.fromEntries(engines.map((engine) => [engine.name, engine])) });
    }
    const maestro = await createMaestro({ nodes, policy });
    const place = `${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'} under ${policy}`;
    return {
      models: new Map(maestro.models.map((name) => [name, maestro.engine(name)])),
      place,
      async close() {
        await maestro.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
