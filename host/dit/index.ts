/** `tutti/dit`: diffusion transformers. */
export { createDit, type Dit, type DitRun, type DitRunOptions } from './dit.js';
export { generateImages, type GenerateOptions } from './generate.js';
export { readDitModel, randomDitModel, type DitModel } from './model.js';
export { pictureShape, type DitConfig, type PictureShape } from './config.js';
export { encodePng, type GreyPicture } from './png.js';
export { flowTimes, noiseOf, type Sampler } from './schedule.js';
