/**
 * The scheduler as text engines, one for each model, so that whatever takes a text engine (an HTTP server, a command) is scheduled. Requests say which workflow they
 * belong to; those that do not are put together by conversation.
 */
import { abortedError, throwIfAborted } from '../../errors.js';
import type { TextChunk, TextEngine, TextRequest } from '../../llm/engine/text-engine.js';
import { createAnswer } from './answer.js';
import type { OpenClusterModel } from './cluster.js';
import { createConversations, hashText } from './conversations.js';
import type { Executor } from './executor.js';
import type { LiveProgram } from './live-program.js';
import type { MaestroLimits } from './options.js';
import { readMetadata, type StageMetadata } from './stage-metadata.js';

/** A workflow that nobody ends: it is over when nothing has come for a while. */
interface Served {
  readonly key: string;
  readonly live: LiveProgram;
  stages: number;
  /** Stages that the next ones are taken to go on from, those that have ended since, and those under way. */
  parents: readonly string[];
  ended: string[];
  running: number;
  readonly forget: (() => void)[];
}

export interface TextFace {
  engine(model: number): TextEngine;
}

/** Tokens of a prompt that has not been counted. */
const CHARACTERS = 4;

export function createTextFace(
  executor: Executor,
  models: readonly OpenClusterModel[],
  limits: MaestroLimits,
): TextFace {
  /** The longest untouched first. */
  const served = new Map<string, Served>();
  const conversations = createConversations<{ readonly of: Served; readonly stage: string }>();
  let numbers = 0;

  function close(each: Served): void {
    served.delete(each.key);
    for (const forget of each.forget) forget();
    executor.complete(each.live);
  }

  /** Those of which nothing was heard for long; `force`: the longest one at least. */
  function sweep(force: boolean): void {
    for (const each of served.values()) {
      if (each.running > 0) continue;
      if (!force && executor.now() - each.live.touchedAt < limits.idleSeconds) return;
      close(each);
      if (force) return;
    }
  }

  function workflowOf(metadata: StageMetadata, request: TextRequest): { own: Served; before: string | undefined } {
    sweep(false);
    let earlier = conversations.find(request);
    const { workflow, tenant, application, deadlineSeconds, class: kind } = metadata;
    const key = workflow === undefined ? earlier?.of.key : `${tenant ?? ''}\0${workflow}`;
    let own = key === undefined ? undefined : served.get(key);
    // Who does not know of workflows is not told that one is full, or was given up: another begins.
    if (own && workflow === undefined && (own.live.refusal ?? own.stages >= limits.stages)) {
      if (own.running === 0) close(own);
      own = earlier = undefined;
    }
    const before = own && earlier?.of === own ? earlier.stage : undefined;
    if (own) served.delete(own.key);
    else {
      if (executor.openWorkflows >= limits.workflows) sweep(true);
      const name = workflow === undefined ? `conversation-${++numbers}` : tenant ? `${tenant}/${workflow}` : workflow;
      const live = executor.open({ id: name, tenant, application, deadlineSeconds, class: kind });
      own = {
        ...{ key: workflow === undefined ? `\0${name}` : key!, live, stages: 0, parents: [], ended: [], running: 0 },
        forget: [],
      };
    }
    // At the end of the row.
    served.set(own.key, own);
    return { own, before };
  }

  async function* generate(model: number, request: TextRequest): AsyncGenerator<TextChunk, void, undefined> {
    const { signal } = request;
    throwIfAborted(signal, 'generation');
    const metadata = readMetadata(request.metadata);
    const { own, before } = workflowOf(metadata, request);
    if (own.running === 0 && own.ended.length > 0) {
      own.parents = own.ended;
      own.ended = [];
    }
    const { name, context } = models[model]!;
    const role = metadata.role ?? roleOf(request);
    const id = `${own.stages++}-${role}`.slice(0, 256);
    const most = Math.min(limits.contextTokens, context ?? Infinity);
    const answer = createAnswer();
    const plan = {
      spec: {
        ...{ id, role, model: name, promptTokens: lengthOf(request), class: metadata.class, tool: metadata.tool },
        ...{ fanOut: metadata.fanOut, parents: before === undefined ? own.parents : [before] },
        // As an engine by itself: an answer ends with the context at the latest.
        maxTokens: Math.min(request.maxTokens ?? most, most),
      },
      ...{ input: request, answer },
    };
    executor.add(own.live, [plan]);
    own.running++;
    const abort = (): void => executor.giveUp(own.live, id, abortedError(signal!, 'generation'));
    signal?.addEventListener('abort', abort, { once: true });
    let text = '';
    let ended = false;
    try {
      for await (const chunk of answer) {
        text += chunk.text;
        if (chunk.finish) ended = true;
        yield chunk;
      }
    } finally {
      signal?.removeEventListener('abort', abort);
      own.running--;
      if (ended) {
        own.ended.push(id);
        own.forget.push(conversations.add(request, text, { of: own, stage: id }));
      } else executor.giveUp(own.live, id, abortedError(signal ?? AbortSignal.abort(), 'generation'));
    }
  }

  return {
    engine(model) {
      const { name, tokenizer } = models[model]!;
      return {
        ...{ name, tokenizer },
        get context() {
          return models[model]!.context;
        },
        chat: models[model]!.chat,
        get usage() {
          return executor.usage(model);
        },
        generate: (request) => generate(model, request),
        embed: (texts, { signal } = {}) => executor.embed(model, texts, signal),
        // The scheduler is closed by itself: there are others' requests on it.
        close: () => Promise.resolve(),
      };
    },
  };
}

/** Of who does not say: whoever has the same system prompt plays the same role. */
function roleOf({ messages }: TextRequest): string {
  const system = messages?.find(({ role }) => role === 'system' || role === 'developer');
  return system ? `system ${hashText(system.content)}` : 'assistant';
}

function lengthOf({ messages, prompt }: TextRequest): number {
  const text = typeof prompt === 'string' ? prompt.length : (prompt?.length ?? 0) * CHARACTERS;
  const characters = messages?.reduce((sum, { content }) => sum + content.length + 2 * CHARACTERS, 0) ?? text;
  return Math.max(1, Math.ceil(characters / CHARACTERS));
}
