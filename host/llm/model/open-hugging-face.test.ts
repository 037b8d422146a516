import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TuttiError } from '../../errors.js';
import { readSafetensors, tensorOf, writeSafetensors, type Tensor } from '../../files/safetensors.js';
import { dice } from '../../kernels/conformance/generate.js';
import { bytesSource, type ByteSource } from '../byte-source.js';
import { dequantise } from '../gguf/dequantise.js';
import { openHuggingFace, openHuggingFaceFolder, type HuggingFaceFiles } from './open-hugging-face.js';

type Json = Record<string, unknown>;

const folder = (family: string): string => `test/data/hugging-face/${family}`;
const json = (family: string, file: string): Json =>
  JSON.parse(readFileSync(`${folder(family)}/${file}`, 'utf8')) as Json;
const weights = (family: string): Uint8Array => new Uint8Array(readFileSync(`${folder(family)}/model.safetensors`));
const files = (family: string, config: Json = {}): HuggingFaceFiles => ({
  config: { ...json(family, 'config.json'), ...config },
  tokenizer: json(family, 'tokenizer.json'),
  tensors: [bytesSource(weights(family), 'model.safetensors')],
});

describe('openHuggingFace', () => {
  it('reads shapes of every kind', async () => {
    const config = async (family: string, change?: Json) => (await openHuggingFace(files(family, change))).config;
    expect(await config('llama')).toMatchObject({
      ...{ architecture: 'llama', layers: 2, width: 32, heads: 4, kvHeads: 2, headSize: 16, context: 64 },
      ...{ activation: 'silu', window: undefined, vocabulary: 156 },
      rope: {
        base: 500,
        halves: true,
        divisors: [expect.closeTo(Math.PI / 2), expect.closeTo(3.4158), 4, 4, 4, 4, 4, 4],
      },
    });
    expect(await config('mistral')).toMatchObject({ window: { positions: 6, every: 0 } });
    expect(await config('qwen2')).toMatchObject({
      attentionBias: true,
      rope: { yarn: { factor: 4, context: 16, magnitude: 0.1 * Math.log(4) + 1 } },
    });
    expect(await config('qwen3')).toMatchObject({ attentionBias: false, headNorms: true });
    expect(await config('gemma2')).toMatchObject({
      ...{ activation: 'gelu', outputNorms: true, embeddingScale: Math.sqrt(32), scoreCap: 3, logitCap: 4 },
      window: { positions: 6, every: 2 },
    });
    expect(await config('gemma3')).toMatchObject({
      rope: { base: 1000, factor: 2 },
      window: { positions: 6, every: 3, rope: { base: 100, factor: 1 } },
    });
    // As older files have it.
    const old = { ...json('gemma3', 'config.json'), rope_parameters: undefined };
    const scaling = { rope_type: 'linear', factor: 8 };
    const older = { ...old, rope_scaling: scaling, rope_theta: 7, rope_local_base_freq: 3 };
    expect((await openHuggingFace({ ...files('gemma3'), config: older })).config).toMatchObject({
      rope: { base: 7, factor: 8 },
      window: { rope: { base: 3, factor: 1 } },
    });
    const within = { model_type: 'gemma3', text_config: older };
    expect((await openHuggingFace({ ...files('gemma3'), config: within })).config).toMatchObject({ rope: { base: 7 } });
  });

  it('reads parts of a file from several, half precision, and the ranges that are asked for alone', async () => {
    const { tensors } = readSafetensors(weights('gemma'));
    const halves: Map<string, Tensor>[] = [new Map(), new Map()];
    let k = 0;
    for (const [name, tensor] of tensors) {
      const values = new Float32Array(tensor.bytes.slice().buffer);
      const upper = Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
      halves[k++ % 2]!.set(name, tensorOf('BF16', upper, tensor.shape));
    }
    const read: [number, number][] = [];
    const counted = (source: ByteSource): ByteSource => ({
      ...source,
      read(offset, length) {
        read.push([offset, length]);
        return source.read(offset, length);
      },
    });
    const parts = halves.map((half, i) => counted(bytesSource(writeSafetensors(half), `part ${i}`)));
    const model = await openHuggingFace({ ...files('gemma'), tensors: parts });
    expect(read.length).toBe(4);
    const values = async (of: typeof model, name: string): Promise<Float32Array> => {
      const tensor = of.tensors.get(name)!;
      return dequantise(tensor, await tensor.read());
    };
    const whole = await openHuggingFace(files('gemma'));
    expect([...model.tensors.keys()].sort()).toEqual([...whole.tensors.keys()].sort());
    for (const [name, { type, bytes }] of model.tensors) {
      const norm = name.endsWith('_norm.weight');
      expect([name, type]).toEqual([name, norm ? 'F32' : 'BF16']);
      const [rounded, exact] = [await values(model, name), await values(whole, name)];
      expect(exact.every((value, i) => Math.abs(value - rounded[i]!) <= 0.01 * Math.max(1, Math.abs(value)))).toBe(
        true,
      );
      expect(read.at(-1)![1]).toBe(norm ? bytes / 2 : bytes);
    }
    const norm = readSafetensors(weights('gemma')).tensors.get('model.norm.weight')!;
    const stored = new Float32Array(norm.bytes.slice().buffer);
    expect(await values(whole, 'output_norm.weight')).toEqual(stored.map((value) => 1 + value));
  });

  it('gives the tokenizer as many tokens as the embedding has rows', async () => {
    const { tokenizer, vocabulary } = await openHuggingFace(files('qwen3'));
    expect(tokenizer.size).toBe(156);
    expect(vocabulary.tokens.slice(-4)).toEqual(['[PAD152]', '[PAD153]', '[PAD154]', '[PAD155]']);
    expect(tokenizer.bytes(155)).toHaveLength(0);
    expect([...tokenizer.ends].sort()).toEqual([0, 2]);
  });

  it.each([
    ['llama', { model_type: 'bert' }, /config.json model_type is "bert"; llama, mistral, .* can be run/],
    ['llama', { hidden_size: 2 ** 40 }, /hidden_size is 1099511627776, not a whole number to 131072/],
    ['llama', { hidden_size: 64 }, /has no embedding of rows of 64/],
    ['llama', { num_key_value_heads: 3 }, /num_key_value_heads is 3, which does not divide 4/],
    ['llama', { num_hidden_layers: 'two' }, /num_hidden_layers is "two", not a positive number/],
    ['llama', { rope_parameters: { rope_type: 'longrope' } }, /rope_scaling is of type "longrope"/],
    ['llama', { rope_parameters: { rope_type: 'linear' } }, /factor is missing/],
    ['llama', { hidden_act: 'relu' }, /hidden_act is "relu"; silu/],
    ['llama', { mlp_bias: true }, /mlp_bias is true, which is not supported/],
    ['gemma3', { layer_types: ['sliding_attention', 'full_attention'] }, /layer_types has 2 entries for 3 layers/],
    ['gemma3', { layer_types: ['full_attention', 'sliding_attention', 'full_attention'] }, /no pattern that repeats/],
  ] as const)('says what it cannot run (%s, %j)', async (family, config, message) => {
    await expect(openHuggingFace(files(family, config))).rejects.toThrow(message);
  });

  it('refuses tensors that it does not know, or has twice, or cannot read', async () => {
    const extra = (name: string, type: 'F32' | 'I32' = 'F32'): ByteSource =>
      bytesSource(
        writeSafetensors(new Map([[name, tensorOf(type, type === 'F32' ? new Float32Array(4) : new Int32Array(4))]])),
        'extra',
      );
    const base = files('llama');
    const open = (source: ByteSource) => openHuggingFace({ ...base, tensors: [...base.tensors, source] });
    await expect(open(extra('model.layers.0.mlp.experts.0.weight'))).rejects.toThrow(
      /extra has the tensor .* not supported/,
    );
    await expect(open(extra('model.norm.weight'))).rejects.toThrow(/"model.norm.weight" a second time/);
    await expect(open(extra('model.layers.5.input_layernorm.weight', 'I32'))).rejects.toThrow(
      /as I32; F32, F16 and BF16/,
    );
    expect((await open(extra('vision_tower.layers.0.weight'))).tensors.size).toBe(21);
  });
});

describe('openHuggingFaceFolder', () => {
  let path: string;
  beforeAll(() => {
    path = mkdtempSync(join(tmpdir(), 'tutti-hf-'));
    for (const file of ['config.json', 'tokenizer.json']) copyFileSync(`${folder('qwen3')}/${file}`, join(path, file));
  });
  afterAll(() => rmSync(path, { recursive: true, force: true }));

  it('reads folders, in parts or not, with a template of their own', async () => {
    copyFileSync(`${folder('qwen3')}/model.safetensors`, join(path, 'a-1.safetensors'));
    writeFileSync(
      join(path, 'model.safetensors.index.json'),
      '{"weight_map":{"a":"a-1.safetensors","b":"a-1.safetensors"}}',
    );
    writeFileSync(join(path, 'chat_template.jinja'), '{{ messages }}');
    writeFileSync(join(path, 'generation_config.json'), '{"eos_token_id":[2,7]}');
    const model = await openHuggingFaceFolder(`${path}/`);
    expect(model.chatTemplate).toBe('{{ messages }}');
    expect([...model.tokenizer.ends].sort()).toEqual([0, 2, 7]);
    expect(model.tensors.size).toBe(24);
    await model.close();
  });

  it('says which file is wrong', async () => {
    await expect(openHuggingFaceFolder('/nowhere')).rejects.toThrow(/nowhere has no config.json/);
    const index = join(path, 'model.safetensors.index.json');
    writeFileSync(index, '{"weight_map":{"a":"../../secrets.safetensors"}}');
    await expect(openHuggingFaceFolder(path)).rejects.toThrow(
      /names the file "..\/..\/secrets.safetensors", which is no part/,
    );
    writeFileSync(index, '{"weight_map":{"a":"b.safetensors"}}');
    await expect(openHuggingFaceFolder(path)).rejects.toThrow(/b.safetensors cannot be opened/);
    writeFileSync(index, '{"weight_map"');
    await expect(openHuggingFaceFolder(path)).rejects.toThrow(/model.safetensors.index.json is not JSON/);
  });
});

describe('100,000 damaged models', () => {
  const hostile: readonly unknown[] = [
    ...[
      -1,
      0,
      0.5,
      3,
      2 ** 31,
      2 ** 53,
      1e308,
      null,
      true,
      '',
      'x',
      '9'.repeat(400),
      [],
      {},
      [[]],
      { type: 'Sequence' },
    ],
    ...[[1e9, 1e9], [2 ** 52, 2 ** 52], [0, 2 ** 53 - 1], Array(300).fill(65_536), '__proto__', { constructor: 1 }],
  ];

  /** Puts something else in a random place of `value`. */
  const damagedJson = (value: unknown, d: ReturnType<typeof dice>): unknown =>
    JSON.parse(JSON.stringify(damaged(value, d) ?? null));

  function damaged(value: unknown, d: ReturnType<typeof dice>): unknown {
    if (typeof value !== 'object' || value === null || d.chance(0.05)) return hostile[d.int(0, hostile.length - 1)];
    const keys = Object.keys(value);
    if (keys.length === 0) return hostile[d.int(0, hostile.length - 1)];
    const key = keys[d.int(0, keys.length - 1)]!;
    const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Json;
    if (d.chance(0.1)) delete copy[key];
    else copy[key] = damaged(copy[key], d);
    return copy;
  }

  /** The smallest of models: a token for each of a few bytes. */
  const config = {
    ...{ model_type: 'llama', hidden_size: 4, intermediate_size: 4, num_hidden_layers: 1, num_attention_heads: 2 },
    ...{ num_key_value_heads: 1, head_dim: 2, max_position_embeddings: 16, rms_norm_eps: 1e-5, sliding_window: 4 },
    ...{ layer_types: ['full_attention'], eos_token_id: [1], hidden_act: 'silu', tie_word_embeddings: false },
    rope_scaling: {
      ...{ rope_type: 'llama3', factor: 2, low_freq_factor: 1, high_freq_factor: 4 },
      original_max_position_embeddings: 8,
    },
  };
  const tokenizer = {
    added_tokens: [{ id: 0, content: '<s>', special: true }],
    normalizer: { type: 'Sequence', normalizers: [{ type: 'Replace', pattern: { String: ' ' }, content: '\u2581' }] },
    pre_tokenizer: null,
    post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: '<s>' } }] },
    model: {
      ...{ type: 'BPE', byte_fallback: true, unk_token: '<s>' },
      ...{ vocab: { '<s>': 0, '<0x0A>': 1, a: 2, b: 3, ab: 4, '\u2581': 5 }, merges: [['a', 'b']] },
    },
  };
  const shapes: Record<string, readonly number[]> = {
    'model.embed_tokens.weight': [6, 4],
    'model.norm.weight': [4],
    'lm_head.weight': [6, 4],
    'model.layers.0.input_layernorm.weight': [4],
    'model.layers.0.self_attn.q_proj.weight': [4, 4],
    'model.layers.0.mlp.up_proj.weight': [4, 4],
  };
  const good = writeSafetensors(
    new Map(
      Object.entries(shapes).map(([name, shape]) => [
        name,
        tensorOf('F32', new Float32Array(shape.reduce((product, size) => product * size, 1)), shape),
      ]),
    ),
  );

  it('get typed errors, in bounded time and memory', async () => {
    const headerBytes = Number(new DataView(good.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(good.subarray(8, 8 + headerBytes))) as unknown;
    const d = dice(20261125);
    let refused = 0;
    for (let round = 0; round < 100_000; round++) {
      const parts = {
        config: config as unknown,
        tokenizer: tokenizer as unknown,
        tokenizerConfig: { bos_token: '<s>' } as unknown,
      };
      let bytes = good;
      const which = d.int(0, 4);
      if (which === 0) parts.config = damagedJson(config, d);
      else if (which === 1) parts.tokenizer = damagedJson(tokenizer, d);
      else if (which === 2) {
        const text = new TextEncoder().encode(JSON.stringify(damagedJson(header, d)));
        bytes = new Uint8Array(8 + text.length + good.length - 8 - headerBytes);
        new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
        bytes.set(text, 8);
      } else {
        bytes = good.slice(0, d.chance(0.2) ? d.int(0, good.length) : good.length);
        for (let k = d.int(1, 4); k > 0 && bytes.length > 0; k--)
          bytes[d.int(0, d.chance(0.2) ? 8 : Math.min(bytes.length, headerBytes) - 1)] = d.int(0, 255);
      }
      try {
        const model = await openHuggingFace({ ...parts, tensors: [bytesSource(bytes)] });
        model.tokenizer.encode('ab <s> c', { special: true });
      } catch (error) {
        refused++;
        if (!(error instanceof TuttiError)) throw error;
      }
    }
    expect(refused).toBeGreaterThan(60_000);
    expect(refused).toBeLessThan(100_000);
  });
});
