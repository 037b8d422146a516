/** `tutti llm info`: what is in a model file. */
import type { Command } from 'commander';
import pc from 'picocolors';
import type { ModelFile } from '../../llm/model/model-file.js';
import { table } from '../table.js';
import { MODEL_ARGUMENT, openModel } from './open-model.js';

type InfoReport = ReturnType<typeof reportOf>;

export function register(group: Command): void {
  const command = group
    .command('info')
    .description('what a model file holds: shape, tokenizer, tensors')
    .argument(...MODEL_ARGUMENT)
    .option('--json', 'print one JSON object instead of tables')
    .action(async (name: string, { json }: { readonly json?: boolean }) => {
      const model = await openModel(name);
      try {
        const report = reportOf(model);
        command.configureOutput().writeOut?.(`${json ? JSON.stringify(report, null, 2) : draw(report)}\n`);
      } finally {
        await model.close();
      }
    });
}

function reportOf({ config, tokenizer, vocabulary, chatTemplate, tensors }: ModelFile) {
  const all = [...tensors.values()];
  const types = [...new Set(all.map(({ type }) => type))].map((type) => {
    const of = all.filter((tensor) => tensor.type === type);
    return { type, tensors: of.length, bytes: of.reduce((sum, { bytes }) => sum + bytes, 0) };
  });
  return {
    config,
    parameters: all.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0),
    tokenizer: {
      ...{ model: vocabulary.model, tokens: tokenizer.size, bos: tokenizer.bos, ends: [...tokenizer.ends] },
      chatTemplate: chatTemplate !== undefined,
    },
    types,
  };
}

function draw({ config, parameters, tokenizer, types }: InfoReport): string {
  const { layers, width, heads, kvHeads, headSize, feedForward, context, rope, window } = config;
  const scaled = rope.yarn ? ', YaRN' : rope.divisors ? ', Llama 3 scaling' : rope.factor !== 1 ? ', linear' : '';
  const rows = [
    ['architecture', config.architecture],
    ['parameters', parameters.toLocaleString('en')],
    ['shape', `${layers} layers of ${width}, feed-forward ${feedForward} (${config.activation})`],
    ['attention', `${heads} heads over ${kvHeads}, of ${headSize}`],
    [
      'rotation',
      `${rope.rotated} of ${headSize}, ${rope.halves ? 'halves' : 'neighbours'}, base ${rope.base}${scaled}`,
    ],
    ['context', `${context} tokens${window ? `, window of ${window.positions}` : ''}`],
    [
      'tokenizer',
      `${tokenizer.model}, ${tokenizer.tokens.toLocaleString('en')} tokens, ends ${tokenizer.ends.join(' ')}`,
    ],
    ['chat template', tokenizer.chatTemplate ? 'yes' : 'no'],
  ];
  const label = Math.max(...rows.map(([name]) => name!.length));
  return [
    pc.bold(config.name),
    ...rows.map(([name, value]) => `${pc.dim(name!.padEnd(label))}  ${value}`),
    '',
    table(
      ['type', 'tensors', 'MiB'],
      types.map(({ type, tensors, bytes }) => [type, String(tensors), (bytes / 2 ** 20).toFixed(2)]),
    ),
  ].join('\n');
}
