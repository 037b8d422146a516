/**
 * A diffusion transformer's weights, by name, from a safetensors file or from a seed. Names are those of PyTorch's state dict of models/dit, or of the DiT files of Peebles
 * and Xie (`x_embedder.proj`, `y_embedder.embedding_table`).
 */
import { TuttiError } from '../errors.js';
import { readSafetensors, tensorElements, type Tensor } from '../files/safetensors.js';
import { f16ToNumber } from '../kernels/tensor/weight-formats.js';
import { seededRandom } from '../random.js';
import { checkDitConfig, type DitConfig } from './config.js';

export interface DitModel {
  readonly config: DitConfig;
  /** Elements of a tensor. @throws TuttiError FILE_INVALID when it is missing or of another shape. */
  tensor(name: string, shape: readonly number[]): Float32Array;
  has(name: string): boolean;
}

/** Other names of tensors: those of DiT files. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  'x_embedder.weight': 'x_embedder.proj.weight',
  'x_embedder.bias': 'x_embedder.proj.bias',
  'y_embedder.weight': 'y_embedder.embedding_table.weight',
};

function floatsOf(tensor: Tensor, name: string): Float32Array {
  if (tensor.type === 'F32') return tensorElements(tensor, 'F32', name);
  if (tensor.type === 'F16') return Float32Array.from(tensorElements(tensor, 'F16', name), f16ToNumber);
  if (tensor.type === 'BF16') {
    const words = Uint32Array.from(tensorElements(tensor, 'BF16', name), (half) => half << 16);
    return new Float32Array(words.buffer);
  }
  throw new TuttiError('FILE_INVALID', `${name} holds ${tensor.type}; weights are read from F32, F16 and BF16`, {
    where: name,
  });
}

/**
 * A model from the bytes of a safetensors file. Its configuration is in the file's metadata, as JSON under "config", or given.
 * @throws TuttiError FILE_INVALID
 */
export function readDitModel(bytes: Uint8Array, config?: DitConfig, name = 'model file'): DitModel {
  const file = readSafetensors(bytes, name);
  const text = file.metadata.get('config');
  let checked: DitConfig;
  if (config) checked = checkDitConfig(config, 'config');
  else {
    if (text === undefined) {
      throw new TuttiError('FILE_INVALID', `${name} has no configuration in its metadata; pass one as \`config\``, {
        where: name,
      });
    }
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch (cause) {
      throw new TuttiError('FILE_INVALID', `${name}: the configuration in its metadata is not JSON`, {
        where: name,
        cause,
      });
    }
    checked = checkDitConfig(parsed, name);
  }
  const find = (key: string): Tensor | undefined =>
    file.tensors.get(key) ?? (key in OTHER_NAMES ? file.tensors.get(OTHER_NAMES[key]!) : undefined);
  return {
    config: checked,
    has: (key) => find(key) !== undefined,
    tensor(key, shape) {
      const tensor = find(key);
      if (!tensor) {
        throw new TuttiError('FILE_INVALID', `${name} has no tensor "${key}", which its configuration needs`, {
          where: key,
        });
      }
      const count = shape.reduce((a, b) => a * b, 1);
      // A convolution over whole patches is a matrix by another name.
      const rows = tensor.shape[0] ?? 1;
      const have = tensor.shape.reduce((a, b) => a * b, 1);
      if (have !== count || rows !== (shape[0] ?? 1)) {
        throw new TuttiError(
          'FILE_INVALID',
          `${name} has "${key}" as ${tensor.shape.join(' x ')}, its configuration needs ${shape.join(' x ')}`,
          { where: key },
        );
      }
      return floatsOf(tensor, key);
    },
  };
}

/**
 * A model of any shape with random weights: for tests and for scale. The same seed gives the same weights.
 * @throws TuttiError FILE_INVALID, OPTION_INVALID
 */
export function randomDitModel(config: DitConfig, seed: number): DitModel {
  const checked = checkDitConfig(config, 'config');
  seededRandom(seed);
  return {
    config: checked,
    has: () => true,
    tensor(name, shape) {
      // A tensor's numbers depend on its name, not on what was asked before.
      let hash = seed;
      for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) >>> 0;
      const random = seededRandom(hash);
      const count = shape.reduce((a, b) => a * b, 1);
      const inner = Math.max(1, count / (shape[0] ?? 1));
      // Uniform with the deviation that keeps a layer's outputs as large as its inputs; biases are small.
      const most = shape.length > 1 ? Math.sqrt(3 / inner) : 0.1;
      return Float32Array.from({ length: count }, () => (2 * random.uniform() - 1) * most);
    },
  };
}
