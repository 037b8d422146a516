/**
 * The commands and what they have in common: options that are understood or refused, errors for people. Each command is a
 * file with `register(program)`, which loads its work with import() only when it is called, so that the command starts fast.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { TuttiError } from '../errors.js';
import * as chat from './chat.js';
import * as demo from './demo.js';
import * as devices from './devices.js';
import * as llm from './llm.js';
import * as profile from './profile.js';
import * as serve from './serve.js';
import * as simulate from './simulate.js';
import * as snn from './snn.js';

export interface CliCommand {
  register(program: Command): void;
}

const COMMANDS: readonly CliCommand[] = [demo, devices, llm, serve, chat, snn, simulate, profile];

export interface CliOutput {
  out(text: string): void;
  err(text: string): void;
}

const processOutput: CliOutput = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
};

/** Runs one command line (without node and script). Resolves with the exit code: 0, 1 for a failure, 2 for wrong usage. Never rejects. */
export async function runCli(
  argv: readonly string[],
  output: CliOutput = processOutput,
  commands: readonly CliCommand[] = COMMANDS,
): Promise<number> {
  const program = new Command('tutti')
    .description('WebAssembly and WebGPU compute runtime for spiking networks, language models and agent workflows')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .showHelpAfterError('(tutti --help lists commands and options)')
    .exitOverride()
    .configureOutput({ writeOut: output.out, writeErr: output.err });
  for (const command of commands) command.register(program);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Commander has printed its message, or the help, itself.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    output.err(explain(error));
    return 1;
  }
}

function explain(error: unknown): string {
  if (process.env['TUTTI_DEBUG']) return `${error instanceof Error ? inspectWithCauses(error) : String(error)}\n`;
  if (error instanceof TuttiError) return `tutti: ${error.message}\n`;
  return `tutti: unexpected error: ${error instanceof Error ? error.message : String(error)}\n(set TUTTI_DEBUG=1 to see where)\n`;
}

function inspectWithCauses(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error ? `${stack}\ncaused by ${inspectWithCauses(error.cause)}` : stack;
}

/** From the package that this file was built into. */
function version(): string {
  try {
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version?: unknown;
    };
    return String(manifest.version ?? 'unknown');
  } catch {
    return 'unknown';
  }
}
