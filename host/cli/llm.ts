/** `tutti llm`: files of language models. */
import type { Command } from 'commander';
import * as convert from './llm/convert.js';
import * as info from './llm/info.js';

export function register(program: Command): void {
  const group = program.command('llm').description('language models: look at files, convert and quantise them');
  for (const command of [info, convert]) command.register(group);
}
