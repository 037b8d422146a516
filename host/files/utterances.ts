/**
 * Labelled recordings of speech in one safetensors file, for what travels with the package: tensors `sound` (I16, all recordings
 * one after the other), `start` (U32, where each begins, and the end), `label`, `speaker` and `take` (U8, one per recording);
 * metadata `sampleRate`, `speakers` (JSON list of names), `source` and `licence`.
 */
import { TuttiError } from '../errors.js';
import { readSafetensors, tensorElements, tensorOf, writeSafetensors } from './safetensors.js';

export interface Utterance {
  readonly label: number;
  readonly speaker: string;
  /** Which of the speaker's recordings of this label. */
  readonly take: number;
  /** 16-bit amplitudes. */
  readonly sound: Int16Array;
}

export interface Utterances {
  /** Samples per second. */
  readonly sampleRate: number;
  /** Where the recordings are from, and on which terms; '' when the file does not say. */
  readonly source: string;
  readonly licence: string;
  readonly utterances: readonly Utterance[];
}

/** The bytes of a file that `readUtterances` gives back as it was. */
export function writeUtterances({ sampleRate, source, licence, utterances }: Utterances): Uint8Array {
  const speakers = [...new Set(utterances.map(({ speaker }) => speaker))].sort();
  const start = new Uint32Array(utterances.length + 1);
  utterances.forEach(({ sound }, i) => (start[i + 1] = start[i]! + sound.length));
  const sound = new Int16Array(start[utterances.length]!);
  utterances.forEach((utterance, i) => sound.set(utterance.sound, start[i]));
  const bytes = (of: (utterance: Utterance) => number) => tensorOf('U8', Uint8Array.from(utterances, of));
  return writeSafetensors(
    new Map([
      ['sound', tensorOf('I16', sound)],
      ['start', tensorOf('U32', start)],
      ['label', bytes(({ label }) => label)],
      ['speaker', bytes(({ speaker }) => speakers.indexOf(speaker))],
      ['take', bytes(({ take }) => take)],
    ]),
    new Map([
      ['sampleRate', String(sampleRate)],
      ['speakers', JSON.stringify(speakers)],
      ['source', source],
      ['licence', licence],
    ]),
  );
}

/** @throws TuttiError FILE_INVALID naming what is missing or does not fit together. */
export function readUtterances(bytes: Uint8Array, name = 'utterance file'): Utterances {
  const { metadata, tensors } = readSafetensors(bytes, name);
  const refuse = (what: string): TuttiError => new TuttiError('FILE_INVALID', `${name} ${what}`, { where: name });
  const elements = <T extends 'I16' | 'U32' | 'U8'>(key: string, type: T) => {
    const tensor = tensors.get(key);
    if (tensor === undefined) throw refuse(`has no tensor "${key}"; it is not a file of utterances`);
    return tensorElements(tensor, type, `${name} tensor "${key}"`);
  };
  const sound = elements('sound', 'I16');
  const start = elements('start', 'U32');
  const count = start.length - 1;
  if (count < 0 || start[0] !== 0 || start[count] !== sound.length || start.some((at, i) => at < (start[i - 1] ?? 0)))
    throw refuse(`has starts that do not lead through its ${sound.length} samples in ascending order`);
  const [labels, speakerOf, takes] = (['label', 'speaker', 'take'] as const).map((key) => {
    const list = elements(key, 'U8');
    if (list.length !== count) throw refuse(`has ${list.length} entries in "${key}" for ${count} recordings`);
    return list;
  });
  const sampleRate = Number(metadata.get('sampleRate'));
  if (!(Number.isInteger(sampleRate) && sampleRate > 0))
    throw refuse(`has sampleRate ${JSON.stringify(metadata.get('sampleRate'))}; it must be a whole number above 0`);
  const speakers = namesIn(metadata.get('speakers') ?? '');
  const utterances = Array.from({ length: count }, (_, i) => {
    const speaker = speakers?.[speakerOf![i]!];
    if (speaker === undefined) throw refuse(`names speaker ${speakerOf![i]}, whom its list "speakers" lacks`);
    return { label: labels![i]!, speaker, take: takes![i]!, sound: sound.subarray(start[i], start[i + 1]) };
  });
  return {
    sampleRate,
    source: metadata.get('source') ?? '',
    licence: metadata.get('licence') ?? '',
    utterances,
  };
}

function namesIn(text: string): readonly string[] | undefined {
  try {
    const names: unknown = JSON.parse(text);
    return Array.isArray(names) && names.every((name) => typeof name === 'string') ? names : undefined;
  } catch {
    return undefined;
  }
}
