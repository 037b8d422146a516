/** Engines elsewhere as nodes: a server behind OpenAI's interface, one that breaks off, one beside a device of ours. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { TuttiError } from '../../host/errors.js';
import { openLanguageModel, type LanguageModel } from '../../host/llm/engine/engine.js';
import type { TextEngine } from '../../host/llm/engine/text-engine.js';
import { openAiEndpoint } from '../../host/llm/elsewhere/openai-endpoint.js';
import { createMaestro, type Maestro } from '../../host/maestro/index.js';
import { leaveOut } from '../../host/maestro/live/leave-out.js';
import { serve, type HttpServer } from '../../host/serve/index.js';
import { alone, OPENINGS, source, textOf, wasm } from './fixture.js';

let device: Device;
let model: LanguageModel;
let server: HttpServer;
beforeAll(async () => {
  device = await wasm();
  model = await openLanguageModel(source, { device, blocks: 1000 });
  server = await serve({ models: { stories: model }, port: 0 });
});
afterAll(async () => {
  await server.close();
  expect(model.usage.usedBlocks).toBe(0);
  await model.close();
  await device.close();
});

/** As `engine`, but its first answers break off after so many chunks; greedy ones say the same each time. */
function breaking(engine: TextEngine, answers: number, after: number): TextEngine & { readonly broken: number } {
  let broken = 0;
  return {
    ...engine,
    get broken() {
      return broken;
    },
    async *generate(request) {
      let chunks = 0;
      for await (const chunk of engine.generate(request)) {
        const said = leaveOut(chunk, 'token');
        if (chunks++ === after && broken < answers) {
          broken++;
          throw new TuttiError('DEVICE_LOST', 'the far engine is gone', { where: 'far' });
        }
        yield said;
      }
    },
  };
}

async function tell(maestro: Maestro, count = 6, maxTokens = 40): Promise<string[]> {
  const workflow = maestro.workflow();
  const stages = OPENINGS.slice(0, count).map((prompt) =>
    workflow.stage({ role: 'writer', model: 'stories', prompt, maxTokens }),
  );
  // Read as they come, so that what was given cannot be taken back.
  const texts = await Promise.all(stages.map((stage) => textOf(stage)));
  await workflow.end();
  return texts;
}

const asked = OPENINGS.slice(0, 6).map((prompt) => ({ prompt, maxTokens: 40 }));

describe('an engine elsewhere', () => {
  it('gets stages, no more at once than it has places for, and gives the same texts', async () => {
    const engine = openAiEndpoint({ url: `${server.url}/v1`, model: 'stories' });
    const maestro = await createMaestro({ nodes: [{ name: 'far', engines: { stories: engine }, slots: 2 }] });
    expect(await tell(maestro)).toEqual(await alone(asked));
    const { nodes, stages } = maestro.report();
    expect(nodes).toMatchObject([{ name: 'far', running: 0, admitted: 6, usedBytes: 0, committedBytes: 0 }]);
    expect(stages.every(({ node, tokens }) => node === 'far' && tokens === 40)).toBe(true);
    await maestro.close();
  });

  it('that breaks off is asked again, and says nothing twice', async () => {
    const far = breaking(model, 2, 7);
    const maestro = await createMaestro({ nodes: [{ engines: { stories: far } }] });
    expect(await tell(maestro)).toEqual(await alone(asked));
    expect(far.broken).toBe(2);
    expect(maestro.report().stages.reduce((sum, { interruptions }) => sum + interruptions, 0)).toBe(2);
    await maestro.close();
  });

  it('and a device of ours stand in for each other', async () => {
    const far = breaking(model, 1000, 5);
    const near = await wasm();
    const nodes = [
      { name: 'far', engines: { stories: far } },
      { name: 'near', device: near, models: { stories: { source } } },
    ];
    const maestro = await createMaestro({ nodes, policy: 'fcfs-round-robin' });
    expect(await tell(maestro)).toEqual(await alone(asked));
    expect(far.broken).toBeGreaterThan(0);
    const { stages } = maestro.report();
    expect(stages.every(({ node }) => node === 'near')).toBe(true);
    await maestro.close();
    await near.close();
  });

  it('that never answers ends a stage after so many attempts, with its own reason', async () => {
    const far = breaking(model, 1000, 0);
    const maestro = await createMaestro({ nodes: [{ engines: { stories: far } }], limits: { attempts: 2 } });
    const workflow = maestro.workflow();
    const stage = workflow.stage({ role: 'writer', model: 'stories', prompt: 'Once', maxTokens: 5 });
    await expect(stage.text()).rejects.toMatchObject({ code: 'DEVICE_LOST', message: 'the far engine is gone' });
    await workflow.end();
    expect(far.broken).toBe(2);
    await maestro.close();
  });

  it('that answers differently the second time does not mix two answers', async () => {
    let answers = 0;
    const fickle: TextEngine = {
      ...model,
      async *generate() {
        const first = answers++ === 0;
        for (const text of first ? ['one ', 'two '] : ['one ', 'more ']) {
          yield { text };
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
        if (first) throw new TuttiError('DEVICE_LOST', 'gone');
        yield { text: 'end', finish: 'stop' };
      },
    };
    const maestro = await createMaestro({ nodes: [{ engines: { stories: fickle } }] });
    const workflow = maestro.workflow();
    const read = workflow.stage({ role: 'writer', model: 'stories', prompt: 'Once' });
    await expect(textOf(read)).rejects.toMatchObject({ code: 'DEVICE_FAILED', message: /answers differently/ });
    // Nobody has read of it: the second answer is as good as the first.
    answers = 0;
    expect(await workflow.stage({ role: 'writer', model: 'stories', prompt: 'Once' }).text()).toBe('one more end');
    await workflow.end();
    await maestro.close();
  });
});
