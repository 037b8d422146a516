/** A server with the packaged stories model, for the tests of this folder. */
import { readFileSync } from 'node:fs';
import type { Device } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/index.js';
import { bytesSource } from '../../host/llm/byte-source.js';
import { openLanguageModel, type LanguageModel, type LanguageModelOptions } from '../../host/llm/engine/engine.js';
import { serve, type HttpServer, type ServeOptions } from '../../host/serve/index.js';
import type { AnsweredRequest } from '../../host/serve/limits.js';

export interface StoriesServer {
  readonly device: Device;
  readonly model: LanguageModel;
  readonly server: HttpServer;
  readonly baseURL: string;
  readonly log: AnsweredRequest[];
  post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>;
  close(): Promise<void>;
}

export const MODEL = 'stories260k';

export async function storiesServer(
  options: Partial<ServeOptions> = {},
  modelOptions: Partial<LanguageModelOptions> = {},
): Promise<StoriesServer> {
  const device = await createWasmDevice({ threads: 1 });
  const file = new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf'));
  const model = await openLanguageModel(bytesSource(file), { device, ...modelOptions });
  const log: AnsweredRequest[] = [];
  const server = await serve({
    models: { [MODEL]: model },
    port: 0,
    log: (request) => void log.push(request),
    ...options,
  });
  return {
    ...{ device, model, server, log, baseURL: `${server.url}/v1` },
    post: (path, body, headers = {}) =>
      fetch(`${server.url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    async close() {
      await server.close({ drainMs: 0 });
      await model.close();
      await device.close();
    },
  };
}

/** Waits, without a limit of its own, until `holds`. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
}
