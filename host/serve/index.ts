/** OpenAI's HTTP interface for language models, in Node: `tutti/serve`. */
export { serve } from './serve.js';
export type { HttpServer, ServeOptions } from './serve.js';
export type { AnsweredRequest, ServeLimits } from './limits.js';
