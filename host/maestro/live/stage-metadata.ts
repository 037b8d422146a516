/** What a request says of itself in OpenAI's `metadata` field, or in headers: the workflow that it belongs to, who speaks, and what is wanted. */
import { TuttiError } from '../../errors.js';
import type { StageClass } from '../workflow.js';

export interface StageMetadata {
  readonly workflow: string | undefined;
  readonly role: string | undefined;
  /** Seconds from the workflow's first request. */
  readonly deadlineSeconds: number | undefined;
  readonly class: StageClass | undefined;
  readonly tenant: string | undefined;
  readonly application: string | undefined;
  readonly tool: string | undefined;
  readonly fanOut: number | undefined;
}

const MOST_NAME = 256;
const MOST_SECONDS = 366 * 86_400;
const MOST_FAN_OUT = 10_000;

/** Other fields are somebody else's. @throws TuttiError INPUT_INVALID naming the field */
export function readMetadata(metadata: Readonly<Record<string, string>> = {}): StageMetadata {
  const fail = (field: string, what: string): never => {
    const value = JSON.stringify(metadata[field]!.slice(0, 60));
    throw new TuttiError('INPUT_INVALID', `metadata.${field} (or its header) must be ${what}, got ${value}`, {
      where: `metadata.${field}`,
    });
  };
  const name = (field: string): string | undefined => {
    const value = metadata[field];
    if (value === undefined) return undefined;
    return value.length > 0 && value.length <= MOST_NAME
      ? value
      : fail(field, `a text of 1 to ${MOST_NAME} characters`);
  };
  const number = (field: string, holds: (value: number) => boolean, what: string): number | undefined => {
    const value = metadata[field];
    if (value === undefined) return undefined;
    // Number('') and Number(' ') are 0.
    const read = value.trim() === '' ? Number.NaN : Number(value);
    return holds(read) ? read : fail(field, what);
  };
  const kind = metadata['class'];
  if (kind !== undefined && kind !== 'interactive' && kind !== 'batch') fail('class', "'interactive' or 'batch'");
  return {
    ...{ workflow: name('workflow'), role: name('role'), tenant: name('tenant') },
    ...{ application: name('application'), tool: name('tool'), class: kind as StageClass | undefined },
    deadlineSeconds: number(
      'deadline',
      (value) => value > 0 && value <= MOST_SECONDS,
      `a number of seconds above 0 and at most ${MOST_SECONDS}`,
    ),
    fanOut: number(
      'fan_out',
      (value) => Number.isInteger(value) && value >= 0 && value <= MOST_FAN_OUT,
      `a whole number in 0 .. ${MOST_FAN_OUT}`,
    ),
  };
}
