/** Models that a command line names: a GGUF file or its address, a Hugging Face folder, or random weights of a known shape. */
import { statSync } from 'node:fs';
import type { ModelFile } from '../../llm/model/model-file.js';
import { whole } from '../snn/whole-number.js';

export const MODEL_ARGUMENT = [
  '<model>',
  'GGUF file or its address, Hugging Face folder with safetensors, or random:15m, random:110m or random:0.5b for random weights of that shape',
] as const;

/** @throws TuttiError FILE_INVALID, OPTION_INVALID */
export async function openModel(name: string, seed = '1'): Promise<ModelFile> {
  if (name.startsWith('random:')) {
    const { randomModel } = await import('../../llm/model/random-model.js');
    return randomModel(name.slice('random:'.length).toLowerCase() as '15m', { seed: whole(seed, '--seed') });
  }
  if (statSync(name, { throwIfNoEntry: false })?.isDirectory()) {
    const { openHuggingFaceFolder } = await import('../../llm/model/open-hugging-face.js');
    return openHuggingFaceFolder(name);
  }
  const { fileSource, urlSource } = await import('../../llm/byte-source.js');
  const { openGguf } = await import('../../llm/model/model-file.js');
  return openGguf(await (/^https?:\/\//.test(name) ? urlSource(name) : fileSource(name)));
}
