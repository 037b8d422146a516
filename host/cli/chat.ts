/** `tutti chat`: a conversation in the terminal. */
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import pc from 'picocolors';
import { createConversation } from './conversation.js';
import { numberIn, wholeNumber } from './number-option.js';
import { openModels, type ModelChoice } from './open-models.js';

interface ChatChoice extends Omit<ModelChoice, 'model' | 'upstream'> {
  readonly model?: string;
  readonly upstream?: string;
  readonly system?: string;
  readonly temperature: number;
  readonly maxTokens?: number;
  readonly seed?: number;
}

const HELP = '/reset begins anew, /exit or Ctrl-D leaves, Ctrl-C stops an answer';

export function register(program: Command): void {
  const command = program
    .command('chat')
    .description('talk with a language model; one without a chat template continues your text')
    .option('--model <file>', 'GGUF file or Hugging Face folder (default: the packaged stories260k)')
    .option('--upstream <url>', "instead, a server with OpenAI's interface: URL#MODEL (key in TUTTI_UPSTREAM_KEY)")
    .option('--device <kind>', 'wasm or webgpu', 'wasm')
    .option('--threads <count>', 'threads of the Wasm device (default: one per processor)', wholeNumber(1))
    .option('--context <tokens>', 'most tokens of the conversation', wholeNumber(2))
    .option('--kv <format>', 'how keys and values are packed: f32, f16, int8 or int4')
    .option('--system <text>', 'what the model is told first')
    .option('--temperature <number>', '0 takes the likeliest token always', numberIn(0, 100), 0.8)
    .option('--max-tokens <count>', 'most tokens of an answer', wholeNumber(1))
    .option('--seed <number>', 'for the same answers again', wholeNumber(0))
    .action(async ({ model, upstream, system, temperature, maxTokens, seed, ...rest }: ChatChoice) => {
      const write = (text: string): void => command.configureOutput().writeOut?.(text);
      const opened = await openModels({
        ...rest,
        ...(model !== undefined && { model: [model] }),
        ...(upstream !== undefined && { upstream: [upstream] }),
      });
      const [[name, engine]] = [...opened.models] as [[string, NonNullable<ReturnType<typeof opened.models.get>>]];
      const conversation = createConversation(engine, {
        temperature,
        ...(system !== undefined && { system }),
        ...(maxTokens !== undefined && { maxTokens }),
        ...(seed !== undefined && { seed }),
      });
      const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: pc.cyan('> ') });
      const leave = (): void => lines.close();
      // Ctrl-C reaches readline in a terminal, and the process elsewhere.
      const interrupt = (): void => {
        if (!conversation.stop()) leave();
      };
      lines.on('SIGINT', interrupt);
      process.on('SIGINT', interrupt);
      try {
        write(pc.dim(`${name} on ${opened.place}${engine.chat ? '' : ', which continues text'}; ${HELP}\n`));
        lines.prompt();
        for await (const line of lines) {
          if (line.trim() === '/exit') break;
          if (line.trim() === '/reset') conversation.reset();
          else if (line.trim() === '/help') write(`${HELP}\n`);
          else if (line !== '') {
            for await (const text of conversation.say(line)) write(text);
            write('\n');
          }
          lines.prompt();
        }
      } finally {
        process.off('SIGINT', interrupt);
        leave();
        await opened.close();
      }
    });
}
