/** What prompts are made of, named alike on all nodes: equal segments after equal beginnings are one content. */
import type { OpenTicket } from '../maestro/book.js';
import type { Content } from './prefix-cache.js';

export interface Contents {
  /** What a stage's prompt begins with, how many tokens of it, and what the stage adds. The last token of a prompt is always computed. */
  of(
    ticket: OpenTicket,
    outputTokens: number,
    ownOf: (stage: string) => Content | undefined,
  ): { readonly base: Content | undefined; readonly baseTokens: number; readonly own: Content };
}

export function createContents(): Contents {
  /** Of each content (0: the beginning), those that go on from it. */
  const after = new Map<number, Map<string | number, Content>>();
  let keys = 1;

  function segment(below: Content | undefined, id: string | number, tokens: number): Content {
    let children = after.get(below?.key ?? 0);
    if (!children) after.set(below?.key ?? 0, (children = new Map<string | number, Content>()));
    let content = children.get(id);
    if (!content) {
      const from = below?.end ?? 0;
      content = { key: keys++, below, from, end: from + tokens };
      children.set(id, content);
    }
    return content;
  }

  return {
    of({ stage }, outputTokens, ownOf) {
      const most = stage.promptTokens - 1;
      let base: Content | undefined;
      let baseTokens = 0;
      if (stage.prefix && 'segments' in stage.prefix) {
        for (const { id, tokens } of stage.prefix.segments) base = segment(base, id, tokens);
        baseTokens = Math.min(most, base?.end ?? 0);
      } else if (stage.prefix) {
        base = ownOf(stage.prefix.stage);
        baseTokens = base ? Math.min(most, stage.prefix.tokens, base.end) : 0;
      }
      const own = { key: keys++, below: base, from: baseTokens, end: stage.promptTokens + outputTokens };
      return { base, baseTokens, own };
    },
  };
}
