/** Embeddings, which no policy schedules: on whichever node has the model, or brings it where it has room. */
import { throwIfAborted } from '../../errors.js';
import type { Embeddings } from '../../llm/engine/text-engine.js';
import { faultOf } from './fault.js';
import type { LiveNode } from './live-node.js';
import { noNodeFor } from './live-program.js';

export interface EmbedRequest {
  readonly model: number;
  readonly name: string;
  readonly texts: readonly (string | readonly number[])[];
  readonly signal: AbortSignal | undefined;
  /** Resolves when something has changed on a node. */
  changed(): Promise<void>;
}

/** @throws TuttiError DEVICE_UNAVAILABLE when no node can, ABORTED; what the engine throws */
export async function embedSomewhere(nodes: readonly LiveNode[], request: EmbedRequest): Promise<Embeddings> {
  const { model, name, texts, signal } = request;
  for (;;) {
    throwIfAborted(signal, 'embedding');
    const there = nodes.filter(({ view }) => view.alive && view.models[model]?.place === 'device');
    const [node] = there.sort((a, b) => a.view.running - b.view.running);
    if (node) {
      try {
        return await node.embed(model, texts, signal);
      } catch (error) {
        if (faultOf(error) === 'request' || node.view.alive) throw error;
        continue;
      }
    }
    const able = nodes.filter(({ gone, view }) => !gone && (view.models[model]?.readySeconds ?? Infinity) < Infinity);
    if (able.length === 0) throw noNodeFor(name);
    if (!able.some(({ view }) => view.models[model]?.place === 'loading')) able.find((each) => bring(each, model));
    await request.changed();
  }
}

/** In place of models that nobody uses, if need be. */
function bring({ view, load }: LiveNode, model: number): boolean {
  const idle = view.models.flatMap(({ place, running }, k) => (place === 'device' && running === 0 ? [k] : []));
  return load(model, idle);
}
