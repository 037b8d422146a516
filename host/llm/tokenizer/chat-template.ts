/** Conversations as text, by the Jinja templates that model files carry. */
import { TuttiError } from '../../errors.js';
import type { Vocabulary } from './vocabulary.js';

export interface ChatTemplateInput {
  /** Each with `role` and `content`, and whatever else a template knows: `tool_calls`, `name`. */
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  /** Functions that may be called, as JSON schema. */
  readonly tools?: readonly Readonly<Record<string, unknown>>[] | undefined;
  /** Ends with the beginning of the assistant's answer. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** Texts of the tokens that begin and end a text. */
  readonly bos?: string;
  readonly eos?: string;
  /** For templates that print the date. Default: now. */
  readonly date?: Date;
  /** More names for the template, `enable_thinking` for one. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** For models that know its marks and bring no template. */
export const CHATML = `{% for message in messages %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

/** The template of a model file without one, when its vocabulary shows which it was trained on. */
export function usualTemplate({ tokens }: Pick<Vocabulary, 'tokens'>): string | undefined {
  return tokens.includes('<|im_start|>') && tokens.includes('<|im_end|>') ? CHATML : undefined;
}

/** What makes prompts of conversations with a model: by its file's template or the usual one; undefined where neither is there. */
export function conversationWriter({
  chatTemplate,
  vocabulary,
}: {
  readonly chatTemplate: string | undefined;
  readonly vocabulary: Pick<Vocabulary, 'tokens' | 'bos' | 'eos'>;
}): ((input: ChatTemplateInput) => Promise<string>) | undefined {
  const template = chatTemplate ?? usualTemplate(vocabulary);
  if (template === undefined) return undefined;
  const [bos = '', eos = ''] = [vocabulary.bos, vocabulary.eos].map((id) => vocabulary.tokens[id ?? -1]);
  return (input) => renderChat(template, { bos, eos, ...input });
}

/** The longest template that is taken; real ones have some 10,000 characters. */
const MOST_CHARACTERS = 2 ** 20;
const MOST_RANGE = 100_000;

/** What is used of the package, whose own declarations lead nowhere for ES modules. */
interface Jinja {
  readonly Environment: new () => { set(name: string, value: unknown): unknown };
  readonly Interpreter: new (environment: unknown) => { run(program: Program): { readonly value: unknown } };
  tokenize(template: string, options: { readonly lstrip_blocks: boolean; readonly trim_blocks: boolean }): unknown;
  parse(tokens: unknown): Program;
}
type Program = object;

/** Templates that were read already, as there are few and parsing takes longer than rendering. */
const parsed = new Map<string, Program>();
const MOST_PARSED = 8;

/**
 * The text of a conversation.
 * @throws TuttiError FILE_INVALID when the template is no template; INPUT_INVALID when it does not take these messages, with its own words why
 */
export async function renderChat(template: string, input: ChatTemplateInput): Promise<string> {
  const jinja = (await import('@huggingface/jinja')) as unknown as Jinja;
  const program = programOf(template, jinja);
  const { messages, tools, addGenerationPrompt = true, bos = '', eos = '', date = new Date(), variables = {} } = input;
  let objection: string | undefined;
  const names: Record<string, unknown> = {
    ...{ true: true, false: false, none: null, True: true, False: false, None: null },
    range: boundedRange,
    raise_exception(message: string) {
      objection = message;
      throw new Error(message);
    },
    strftime_now: (format: string) => formatDate(date, format),
    ...{ messages, tools: tools && tools.length > 0 ? tools : null, documents: null },
    ...{ add_generation_prompt: addGenerationPrompt, bos_token: bos, eos_token: eos },
  };
  const environment = new jinja.Environment();
  for (const [name, value] of Object.entries({ ...names, ...variables })) environment.set(name, value);
  try {
    return String(new jinja.Interpreter(environment).run(program).value);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TuttiError(
      'INPUT_INVALID',
      objection === undefined
        ? `the model's chat template cannot write these messages (${why}); check their roles and contents`
        : `the model's chat template refuses these messages: ${objection}`,
      { where: 'messages', cause },
    );
  }
}

function programOf(template: string, jinja: Jinja): Program {
  let program = parsed.get(template);
  if (program) return program;
  if (template.length > MOST_CHARACTERS) {
    throw new TuttiError(
      'FILE_INVALID',
      `the chat template has ${template.length} characters; the most is ${MOST_CHARACTERS}`,
      { where: 'chat_template' },
    );
  }
  try {
    program = jinja.parse(jinja.tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TuttiError('FILE_INVALID', `the model's chat template cannot be read (${why}); give another`, {
      where: 'chat_template',
      cause,
    });
  }
  if (parsed.size >= MOST_PARSED) parsed.delete(parsed.keys().next().value!);
  parsed.set(template, program);
  return program;
}

/** Python's; a file could ask for any number of numbers. */
function boundedRange(first: number, last?: number, step = 1): number[] {
  const [from, to] = last === undefined ? [0, first] : [first, last];
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!(count <= MOST_RANGE)) throw new Error(`range() of ${count} numbers`);
  return Array.from({ length: count }, (_, k) => from + k * step);
}

/** The parts of strftime that templates use. */
function formatDate(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const name = (options: Intl.DateTimeFormatOptions): string => date.toLocaleDateString('en-US', options);
  const parts: Readonly<Record<string, () => string>> = {
    '%': () => '%',
    Y: () => String(date.getFullYear()),
    m: () => two(date.getMonth() + 1),
    d: () => two(date.getDate()),
    b: () => name({ month: 'short' }),
    B: () => name({ month: 'long' }),
    a: () => name({ weekday: 'short' }),
    A: () => name({ weekday: 'long' }),
    H: () => two(date.getHours()),
    M: () => two(date.getMinutes()),
    S: () => two(date.getSeconds()),
  };
  return format.replace(/%(.)/g, (whole, letter: string) => parts[letter]?.() ?? whole);
}
