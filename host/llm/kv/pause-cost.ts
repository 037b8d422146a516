/** What to do with a sequence that has to give its blocks back: keep them elsewhere, or compute them again. Pure. */

export interface PauseRates {
  /** Prompt tokens that an engine computes in a second. */
  readonly prefillTokensPerSecond: number;
  /** Bytes that come off the device, or back onto it, in a second. */
  readonly bytesPerSecond: number;
}

export interface PauseChoice {
  readonly keep: boolean;
  /** Seconds, of the way that was chosen. */
  readonly seconds: number;
}

/** `tokens` are what would have to be computed, `bytes` what would have to be moved twice. */
export function choosePause(tokens: number, bytes: number, rates: PauseRates): PauseChoice {
  const again = tokens / rates.prefillTokensPerSecond;
  const move = (2 * bytes) / rates.bytesPerSecond;
  return move < again ? { keep: true, seconds: move } : { keep: false, seconds: again };
}

/** A rate that follows what is measured, recent measurements weighing more. */
export interface MeasuredRate {
  readonly perSecond: number;
  note(amount: number, milliseconds: number): void;
}

export function measuredRate(guess: number, weight = 0.2): MeasuredRate {
  let rate = guess;
  let measured = false;
  return {
    get perSecond() {
      return rate;
    },
    note(amount, milliseconds) {
      if (!(amount > 0 && milliseconds > 0)) return;
      const now = (1000 * amount) / milliseconds;
      rate = measured ? rate + weight * (now - rate) : now;
      measured = true;
    },
  };
}
