/** `tutti serve`: models behind OpenAI's HTTP interface. */
import type { Command } from 'commander';
import pc from 'picocolors';
import type { AnsweredRequest } from '../serve/limits.js';
import { numberIn, wholeNumber } from './number-option.js';
import { openModels, type ModelChoice } from './open-models.js';

interface ServeChoice extends ModelChoice {
  readonly port: number;
  readonly host: string;
  readonly apiKey?: readonly string[];
  readonly cors?: readonly string[];
  readonly running?: number;
  readonly queue?: number;
  readonly requestTime?: number;
  readonly drainTime: number;
  readonly quiet?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('serve')
    .description("serve language models over OpenAI's HTTP interface")
    .option(
      '--model <file...>',
      'GGUF files or Hugging Face folders, each FILE or NAME=FILE (default: the packaged stories260k)',
    )
    .option(
      '--upstream <url...>',
      "servers with OpenAI's interface, whose models are served too: URL, or URL#MODEL for one (key in TUTTI_UPSTREAM_KEY)",
    )
    .option('--device <kind>', 'wasm or webgpu', 'wasm')
    .option('--threads <count>', 'threads of the Wasm device (default: one per processor)', wholeNumber(1))
    .option('--context <tokens>', 'most tokens of a prompt and its answer', wholeNumber(2))
    .option('--blocks <count>', 'blocks of keys and values, 16 tokens each', wholeNumber(1))
    .option('--kv <format>', 'how keys and values are packed: f32, f16, int8 or int4')
    .option(
      '--policy <name>',
      'schedule all models together: maestro, or another policy (default: each model by itself, first come first served)',
    )
    .option('--nodes <count>', 'devices that a policy shares the work out to (default: 1)', wholeNumber(1))
    .option('--port <number>', '0 takes any that is free', numberIn(0, 65_535), 8080)
    .option('--host <address>', 'address to listen on; other machines get in with 0.0.0.0', '127.0.0.1')
    .option(
      '--api-key <key...>',
      'keys that requests must carry (also from TUTTI_API_KEY, which no process list shows)',
    )
    .option('--cors <origin...>', "origins whose pages may call, or '*'")
    .option('--running <count>', 'answers generated at once', wholeNumber(1))
    .option('--queue <count>', 'requests that may wait for that', wholeNumber(0))
    .option('--request-time <seconds>', 'longest time for an answer', wholeNumber(1))
    .option('--drain-time <seconds>', 'longest time for what runs when the server is asked to stop', wholeNumber(0), 30)
    .option('--quiet', 'no line for each request')
    .action(async (choice: ServeChoice) => {
      const out = (text: string): void => command.configureOutput().writeOut?.(text);
      const err = (text: string): void => command.configureOutput().writeErr?.(text);
      const { serve } = await import('../serve/serve.js');
      const opened = await openModels(choice);
      try {
        const apiKeys = [...(choice.apiKey ?? []), process.env['TUTTI_API_KEY'] ?? []]
          .flat()
          .filter((key) => key !== '');
        const { running, queue, requestTime, cors } = choice;
        const server = await serve({
          models: Object.fromEntries(opened.models),
          ...{ port: choice.port, host: choice.host, apiKeys },
          ...(cors && { cors: cors.includes('*') ? ('*' as const) : cors }),
          limits: {
            ...(running !== undefined && { running }),
            ...(queue !== undefined && { queue }),
            ...(requestTime !== undefined && { requestMs: 1000 * requestTime }),
          },
          ...(!choice.quiet && { log: (request: AnsweredRequest) => err(`${line(request)}\n`) }),
        });
        const names = [...opened.models.keys()];
        out(`${names.join(', ')} on ${opened.place} at ${server.url}/v1\n`);
        if (apiKeys.length === 0 && choice.host !== '127.0.0.1')
          err(`${pc.yellow('note')}  whoever reaches ${choice.host} may use it; set TUTTI_API_KEY to ask for a key\n`);
        out(`try: ${curl(server.url, names[0]!, apiKeys.length > 0)}\n`);
        const signal = await stopSignal();
        err(`${signal}: finishing ${server.running + server.waiting} requests; once more to stop at once\n`);
        const closing = server.close({ drainMs: 1000 * choice.drainTime });
        const again = new AbortController();
        await Promise.race([closing, stopSignal(again.signal)]);
        again.abort();
      } finally {
        await opened.close();
      }
    });
}

/** Resolves when the process is asked to end. */
function stopSignal(giveUp?: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const signals = ['SIGTERM', 'SIGINT'] as const;
    const stop = (signal: string): void => {
      for (const each of signals) process.off(each, stop);
      resolve(signal);
    };
    for (const each of signals) process.on(each, stop);
    giveUp?.addEventListener('abort', () => stop('given up'), { once: true });
  });
}

function line({ method, path, status, ms, error }: AnsweredRequest): string {
  const coloured = status < 400 ? pc.green(status) : status < 500 ? pc.yellow(status) : pc.red(status);
  const why = error instanceof Error ? `  ${error.message}` : '';
  return `${new Date().toISOString()} ${coloured} ${method} ${path} ${Math.round(ms)} ms${why}`;
}

function curl(url: string, model: string, key: boolean): string {
  const body = JSON.stringify({ model, prompt: 'Once upon a time', max_tokens: 100 });
  const header = key ? ' -H "authorization: Bearer $TUTTI_API_KEY"' : '';
  return `curl ${url}/v1/completions${header} -H 'content-type: application/json' -d '${body}'`;
}
