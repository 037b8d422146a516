/** What tokens are, and what every vocabulary says. */

/** GGUF's numbers. */
export const TOKEN_KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface VocabularyBase {
  readonly tokens: readonly string[];
  /** Kinds of `TOKEN_KIND`; all normal where a file has none. */
  readonly kinds?: ArrayLike<number>;
  readonly bos?: number;
  readonly eos?: number;
  /** All tokens that end a text or a turn. */
  readonly ends: ReadonlySet<number>;
  readonly unknown?: number;
  readonly addBos?: boolean;
  /** Special tokens that swallow white space before and after them. */
  readonly stripsBefore?: ReadonlySet<number>;
  readonly stripsAfter?: ReadonlySet<number>;
}

/** How models mark the end of a text or of a turn, whatever their files say about it. */
const END_MARKS = [
  ...['<|im_end|>', '<|eot_id|>', '<|eom_id|>', '<end_of_turn>', '<|end|>', '<|endoftext|>', '<|end_of_text|>'],
  ...['<|end_of_turn|>', '<|return|>', '<\uff5cend\u2581of\u2581sentence\uff5c>', '<EOT>', '_<EOT>', '<|eos|>'],
];

/** The tokens of `tokens` that are end marks: those that are not read out of text, by their kinds. */
export function endMarks(tokens: readonly string[], kinds: ArrayLike<number> | undefined): number[] {
  if (!kinds) return [];
  const marks = new Set(END_MARKS);
  const found: number[] = [];
  tokens.forEach((token, id) => {
    if ((kinds[id] === TOKEN_KIND.control || kinds[id] === TOKEN_KIND.userDefined) && marks.has(token)) found.push(id);
  });
  return found;
}
