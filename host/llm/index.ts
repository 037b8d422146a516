/** Language models: `tutti/llm`. */
export { openLanguageModel } from './engine/engine.js';
export type {
  FinishReason,
  GeneratedToken,
  GenerateOptions,
  LanguageModel,
  LanguageModelOptions,
  ModelUsage,
} from './engine/engine.js';
export type { SamplingOptions } from './engine/sampler.js';
export { bytesSource, fileSource, urlSource } from './byte-source.js';
export type { ByteSource } from './byte-source.js';
export { readGguf } from './gguf/read-gguf.js';
export type { GgufHeader, GgufMetadata, GgufNumbers, GgufTensor, GgufTensorType, GgufValue } from './gguf/types.js';
export { tokenizerOf } from './tokenizer/from-gguf.js';
export type { DecodeOptions, EncodeOptions, Tokenizer } from './tokenizer/tokenizer.js';
export { openGguf } from './model/model-file.js';
export type { ModelFile, ModelTensor } from './model/model-file.js';
export type { DecoderConfig, RopeConfig, WindowConfig } from './model/decoder-config.js';
