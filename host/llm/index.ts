/** Language models: `tutti/llm`. */
export { openLanguageModel } from './engine/engine.js';
export type {
  GeneratedToken,
  GenerateOptions,
  LanguageModel,
  LanguageModelOptions,
  ModelUsage,
} from './engine/engine.js';
export type { Generation } from './engine/generation.js';
export type { BlockShortage, LoopWatch, MeasuredIteration, ShortageAnswer } from './batching/loop-watch.js';
export type { Sequence, SequenceHoldings } from './batching/sequence.js';
export { createModelHost } from './engine/model-host.js';
export type { HostedModel, ModelHost, ModelLease, ModelPlace } from './engine/model-host.js';
export { browserKvStorage, fileKvStorage } from './kv/kv-store.js';
export type { KvStorage } from './kv/kv-store.js';
export { kvBlockBytes } from './kv/kv-memory.js';
export type { KvPlan } from './kv/kv-memory.js';
export type { KvFormat } from '../kernels/kv/index.js';
export type { WeightStash } from './model/decoder-weights.js';
export type { SamplingOptions, TokenMask } from './sampling/sampler.js';
export type * from './engine/text-engine.js';
export { createWorkerEngine } from './elsewhere/worker-engine.js';
export type { WorkerEngineOptions } from './elsewhere/worker-engine.js';
export { serveEngine } from './elsewhere/serve-engine.js';
export type { ServedEngine } from './elsewhere/serve-engine.js';
export { endpointModels, openAiEndpoint } from './elsewhere/openai-endpoint.js';
export type { OpenAiEndpointOptions } from './elsewhere/openai-endpoint.js';
export { openLlamaCpp } from './elsewhere/llama-cpp.js';
export type { LlamaCppOptions, LlamaCppPackage } from './elsewhere/llama-cpp.js';
export { bytesSource, fileSource, urlSource } from './byte-source.js';
export type { ByteSource } from './byte-source.js';
export { fileSink, memorySink } from './byte-sink.js';
export type { ByteSink, FileSink } from './byte-sink.js';
export { readGguf } from './gguf/read-gguf.js';
export type { GgufHeader, GgufMetadata, GgufNumbers, GgufTensor, GgufTensorType, GgufValue } from './gguf/types.js';
export { tokenizerOf } from './tokenizer/from-gguf.js';
export type { DecodeOptions, EncodeOptions, Tokenizer } from './tokenizer/tokenizer.js';
export { conversationWriter, renderChat } from './tokenizer/chat-template.js';
export type { ChatTemplateInput } from './tokenizer/chat-template.js';
export type { Vocabulary } from './tokenizer/vocabulary.js';
export { openGguf } from './model/model-file.js';
export type { ModelFile, ModelTensor } from './model/model-file.js';
export { openHuggingFace, openHuggingFaceFolder } from './model/open-hugging-face.js';
export type { HuggingFaceFiles } from './model/open-hugging-face.js';
export { convertModel } from './model/convert-model.js';
export type { ConversionReport, ConvertOptions } from './model/convert-model.js';
export type { WritableType } from './gguf/quantise.js';
export { RANDOM_SHAPES, randomModel } from './model/random-model.js';
export type { RandomModelOptions, RandomShape } from './model/random-model.js';
export type { DecoderConfig, RopeConfig, WindowConfig } from './model/decoder-config.js';
export type { YarnScaling } from './model/rope.js';
