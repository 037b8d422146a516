/** What a monitor asks for at /metrics, in Prometheus' format. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { EngineUsage, TextEngine } from '../llm/engine/text-engine.js';
import type { Admission } from './admission.js';

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  /** An HTTP request was answered. */
  answered(route: string, status: number, seconds: number): void;
  tokens(model: string, kind: 'prompt' | 'cached' | 'generated', count: number): void;
  firstToken(model: string, seconds: number): void;
  nextToken(model: string, seconds: number): void;
  /** A request ended before its answer did. */
  cut(why: 'client' | 'stalled' | 'timeout' | 'draining'): void;
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

export function createMetrics(models: ReadonlyMap<string, TextEngine>, admission: Admission): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = <T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> =>
    new Counter({ name: `tutti_${name}`, help, labelNames, registers });
  const histogram = <T extends string>(name: string, help: string, labelNames: readonly T[]): Histogram<T> =>
    new Histogram({ name: `tutti_${name}`, help, labelNames, registers, buckets: SECONDS });
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      ...{ name: `tutti_${name}`, help, registers },
      collect() {
        this.set(value());
      },
    });
  };
  const perModel = (name: string, help: string, field: keyof EngineUsage): void => {
    new Gauge({
      ...{ name: `tutti_${name}`, help, registers, labelNames: ['model'] },
      collect() {
        for (const [model, engine] of models) {
          const value = engine.usage[field];
          if (value !== undefined) this.set({ model }, value);
        }
      },
    });
  };

  const requests = counter('http_requests_total', 'HTTP requests answered', ['route', 'status']);
  const duration = histogram('http_request_seconds', 'From a request to the end of its answer', ['route']);
  const counted = {
    prompt: counter('prompt_tokens_total', 'Tokens of prompts', ['model']),
    cached: counter('cached_prompt_tokens_total', 'Tokens of prompts that did not have to be computed', ['model']),
    generated: counter('generated_tokens_total', 'Tokens of answers', ['model']),
  };
  const first = histogram('time_to_first_token_seconds', 'From a request to its first token, waiting included', [
    'model',
  ]);
  const between = histogram('inter_token_seconds', 'From one token of an answer to the next', ['model']);
  const cuts = counter('requests_cut_total', 'Requests that ended before their answers did', ['why']);
  gauge('requests_running', 'Answers being generated', () => admission.running);
  gauge('requests_waiting', 'Requests waiting for a place', () => admission.waiting);
  perModel('engine_requests', 'Requests inside the engine', 'running');
  perModel('kv_blocks', 'Blocks of keys and values in the pool', 'blocks');
  perModel('kv_blocks_used', 'Blocks that requests hold', 'usedBlocks');
  perModel('kv_reused_tokens', 'Tokens found in the pool since the start', 'reusedTokens');
  perModel('computed_tokens', 'Tokens computed since the start', 'computedTokens');
  perModel('kv_evictions', 'Sequences that gave their blocks back since the start', 'evictions');

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    answered(route, status, seconds) {
      requests.inc({ route, status: String(status) });
      duration.observe({ route }, seconds);
    },
    tokens: (model, kind, count) => counted[kind].inc({ model }, count),
    firstToken: (model, seconds) => first.observe({ model }, seconds),
    nextToken: (model, seconds) => between.observe({ model }, seconds),
    cut: (why) => cuts.inc({ why }),
  };
}
