/** A Hugging Face folder: config.json, tokenizer.json and safetensors, as the model file that it would be as GGUF. */
import { TuttiError } from '../../errors.js';
import { readSafetensorsHeader, type TensorEntry } from '../../files/safetensors.js';
import { importBuiltin } from '../../node-import.js';
import { fileSource, type ByteSource } from '../byte-source.js';
import { dequantise } from '../gguf/dequantise.js';
import { quantise } from '../gguf/quantise.js';
import { isObject } from '../json.js';
import { chatTemplateOf, huggingFaceVocabulary } from '../tokenizer/from-hugging-face.js';
import { TOKEN_KIND } from '../tokenizer/token-kind.js';
import { createTokenizer, type Vocabulary } from '../tokenizer/vocabulary.js';
import { MOST, type DecoderConfig } from './decoder-config.js';
import { FAMILIES, type Architecture } from './families.js';
import { endsOf, huggingFaceShape } from './hugging-face-config.js';
import type { ModelFile, ModelTensor } from './model-file.js';

/** A folder's files: JSON as it was parsed, weights where they are. */
export interface HuggingFaceFiles {
  /** For messages. */
  readonly name?: string;
  /** config.json */
  readonly config: unknown;
  /** tokenizer.json */
  readonly tokenizer: unknown;
  /** tokenizer_config.json */
  readonly tokenizerConfig?: unknown;
  /** generation_config.json */
  readonly generationConfig?: unknown;
  /** chat_template.jinja */
  readonly chatTemplate?: string | undefined;
  /** model.safetensors, or all of its parts. They are closed with the model. */
  readonly tensors: readonly ByteSource[];
}

/** @throws TuttiError FILE_INVALID that says which file is wrong, and where */
export async function openHuggingFace(files: HuggingFaceFiles): Promise<ModelFile> {
  const { name = 'model' } = files;
  const { config: shape, tied, bos, ends } = huggingFaceShape(files.config, name);
  const family = FAMILIES[shape.architecture as Architecture];
  const tensors = new Map<string, ModelTensor>();
  for (const source of files.tensors) {
    for (const [from, entry] of await entriesOf(source)) {
      const to = tensorName(from, family.outputNorms, source.name);
      if (to === undefined || (to === 'output.weight' && tied)) continue;
      if (tensors.has(to)) throw invalid(source.name, `has the tensor ${JSON.stringify(from)} a second time`, from);
      const gemmaNorm = family.scaledEmbedding && to.endsWith('_norm.weight');
      tensors.set(to, modelTensor(to, from, entry, source, gemmaNorm));
    }
  }
  const embedding = tensors.get('token_embd.weight');
  if (embedding?.shape.length !== 2 || embedding.shape[1] !== shape.width || embedding.shape[0]! > MOST.vocabulary)
    throw invalid(name, `has no embedding of rows of ${shape.width}`, 'embed_tokens.weight');
  const config: DecoderConfig = { ...shape, vocabulary: embedding.shape[0]! };
  const vocabulary = fitted(
    huggingFaceVocabulary(
      {
        ...{ tokenizer: files.tokenizer, tokenizerConfig: files.tokenizerConfig, bos },
        ends: [...ends, ...endsOf(files.generationConfig)],
      },
      `${name} tokenizer.json`,
    ),
    config.vocabulary,
  );
  return {
    ...{ name, config, vocabulary, tensors },
    tokenizer: createTokenizer(vocabulary),
    chatTemplate: chatTemplateOf(files.tokenizerConfig, files.chatTemplate),
    async close() {
      for (const source of files.tensors) await source.close();
    },
  };
}

function invalid(name: string, what: string, where = name): TuttiError {
  return new TuttiError('FILE_INVALID', `${name} ${what}`, { where });
}

/** Where the tensors of a safetensors file lie in it, read from its header alone. */
async function entriesOf(source: ByteSource): Promise<ReadonlyMap<string, TensorEntry>> {
  const first = await source.read(0, Math.min(8, source.bytes));
  const length = first.length < 8 ? 0 : Number(new DataView(first.slice().buffer).getBigUint64(0, true));
  // What cannot be is refused before it is read.
  const whole = 8 + length > source.bytes || length > MOST_HEADER_BYTES ? first : await source.read(0, 8 + length);
  const { entries, dataStart } = readSafetensorsHeader(whole, source.bytes, source.name);
  return new Map(
    [...entries].map(([name, entry]) => [
      name,
      { ...entry, begin: dataStart + entry.begin, end: dataStart + entry.end },
    ]),
  );
}

const MOST_HEADER_BYTES = 100_000_000;

const PARTS: Readonly<Record<string, string>> = {
  'input_layernorm.weight': 'attn_norm.weight',
  'self_attn.q_proj.weight': 'attn_q.weight',
  'self_attn.k_proj.weight': 'attn_k.weight',
  'self_attn.v_proj.weight': 'attn_v.weight',
  'self_attn.q_proj.bias': 'attn_q.bias',
  'self_attn.k_proj.bias': 'attn_k.bias',
  'self_attn.v_proj.bias': 'attn_v.bias',
  'self_attn.q_norm.weight': 'attn_q_norm.weight',
  'self_attn.k_norm.weight': 'attn_k_norm.weight',
  'self_attn.o_proj.weight': 'attn_output.weight',
  'pre_feedforward_layernorm.weight': 'ffn_norm.weight',
  'post_feedforward_layernorm.weight': 'post_ffw_norm.weight',
  'mlp.gate_proj.weight': 'ffn_gate.weight',
  'mlp.up_proj.weight': 'ffn_up.weight',
  'mlp.down_proj.weight': 'ffn_down.weight',
};

/** GGUF's name of a tensor; undefined for what is no part of the decoder. */
function tensorName(from: string, outputNorms: boolean, file: string): string | undefined {
  if (/^(?:language_model\.)?lm_head\.weight$/.test(from)) return 'output.weight';
  const name = from.replace(/^(?:model\.language_model\.|language_model\.model\.|model\.)/, '');
  if (name === 'embed_tokens.weight') return 'token_embd.weight';
  if (name === 'norm.weight') return 'output_norm.weight';
  const [, layer, part] = /^layers\.(\d{1,4})\.(.+)$/.exec(name) ?? [];
  if (layer === undefined || part === undefined || part === 'self_attn.rotary_emb.inv_freq') return undefined;
  // The same name for different norms: before the feed-forward, and behind the attention.
  if (part === 'post_attention_layernorm.weight')
    return `blk.${Number(layer)}.${outputNorms ? 'post_attention_norm' : 'ffn_norm'}.weight`;
  if (!Object.hasOwn(PARTS, part))
    throw invalid(file, `has the tensor ${JSON.stringify(from.slice(0, 200))}, which is not supported`, from);
  return `blk.${Number(layer)}.${PARTS[part]!}`;
}

function modelTensor(
  name: string,
  from: string,
  entry: TensorEntry,
  source: ByteSource,
  gemmaNorm: boolean,
): ModelTensor {
  const { type, shape, begin, end } = entry;
  if (type !== 'F32' && type !== 'F16' && type !== 'BF16')
    throw invalid(source.name, `has the tensor ${JSON.stringify(from)} as ${type}; F32, F16 and BF16 are read`, from);
  const read = (): Promise<Uint8Array> => source.read(begin, end - begin);
  if (!gemmaNorm) return { name, type, shape, bytes: end - begin, read };
  const elements = shape.reduce((product, size) => product * size, 1);
  return {
    ...{ name, type: 'F32', shape, bytes: 4 * elements },
    // These files hold what is added to one.
    async read() {
      const values = dequantise({ name, type, shape, bytes: end - begin }, await read());
      return quantise(
        values.map((value) => 1 + value),
        'F32',
      );
    },
  };
}

/** As many tokens as the embedding has rows: files leave out what the model never says, or name what it does not have. */
function fitted(vocabulary: Vocabulary, rows: number): Vocabulary {
  const count = vocabulary.tokens.length;
  if (count === rows) return vocabulary;
  const kinds = new Int32Array(rows).fill(TOKEN_KIND.unused);
  kinds.set(Array.from({ length: Math.min(count, rows) }, (_, id) => vocabulary.kinds?.[id] ?? TOKEN_KIND.normal));
  const padding = Array.from({ length: Math.max(0, rows - count) }, (_, k) => `[PAD${count + k}]`);
  const { bos, eos, unknown, ...rest } = vocabulary;
  const kept = (id: number | undefined): id is number => id !== undefined && id < rows;
  return {
    ...rest,
    ...{ tokens: [...vocabulary.tokens.slice(0, rows), ...padding], kinds },
    ...(kept(bos) && { bos }),
    ...(kept(eos) && { eos }),
    ...(kept(unknown) && { unknown }),
    ends: new Set([...vocabulary.ends].filter(kept)),
    ...(vocabulary.model === 'llama' && { scores: new Float32Array(rows) }),
  };
}

/** More than any JSON file of a model has. */
const MOST_JSON_BYTES = 2 ** 28;

/**
 * A folder on disk, in Node. Weights are read when they are asked for.
 * @throws TuttiError FILE_INVALID that says which file is missing or wrong
 */
export async function openHuggingFaceFolder(path: string): Promise<ModelFile> {
  const { readFile, stat } = await importBuiltin<typeof import('node:fs/promises')>(
    'fs/promises',
    path,
    'use openHuggingFace',
  );
  const text = async (file: string): Promise<string | undefined> => {
    const size = await stat(`${path}/${file}`).then(
      ({ size }) => size,
      () => undefined,
    );
    if (size === undefined) return undefined;
    if (size > MOST_JSON_BYTES) throw invalid(`${path}/${file}`, `has ${size} bytes; the most is ${MOST_JSON_BYTES}`);
    return readFile(`${path}/${file}`, 'utf8');
  };
  const optional = async (file: string): Promise<unknown> => {
    const content = await text(file);
    if (content === undefined) return undefined;
    try {
      return JSON.parse(content) as unknown;
    } catch (cause) {
      throw new TuttiError('FILE_INVALID', `${path}/${file} is not JSON; it is damaged or cut short`, {
        ...{ where: file, cause },
      });
    }
  };
  const needed = async (file: string): Promise<unknown> => {
    const json = await optional(file);
    if (json === undefined) throw invalid(path, `has no ${file}; a Hugging Face folder with one is read`, file);
    return json;
  };
  const config = await needed('config.json');
  const index = await optional('model.safetensors.index.json');
  const shards = index === undefined ? ['model.safetensors'] : shardsOf(index, path);
  const json = {
    ...{ config, tokenizer: await needed('tokenizer.json') },
    ...{ tokenizerConfig: await optional('tokenizer_config.json') },
    ...{ generationConfig: await optional('generation_config.json'), chatTemplate: await text('chat_template.jinja') },
  };
  const tensors: ByteSource[] = [];
  try {
    for (const shard of shards) tensors.push(await fileSource(`${path}/${shard}`));
    return await openHuggingFace({ name: path.replace(/\/+$/, '').split('/').pop() || path, ...json, tensors });
  } catch (error) {
    for (const source of tensors) await source.close();
    throw error;
  }
}

/** The files that an index names, which must lie in the folder itself. */
function shardsOf(index: unknown, path: string): string[] {
  const map = isObject(index) ? index['weight_map'] : undefined;
  if (!isObject(map)) throw invalid(path, 'has a model.safetensors.index.json without a weight_map');
  const shards = [...new Set(Object.values(map))];
  for (const shard of shards)
    if (typeof shard !== 'string' || !/^[\w.-]+\.safetensors$/.test(shard))
      throw invalid(path, `has an index that names the file ${JSON.stringify(shard)?.slice(0, 100)}, which is no part`);
  return shards as string[];
}
