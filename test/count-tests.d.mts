export function countTests(
  report: unknown,
  failure: string | undefined,
): { passed: number; failed: number; notes: string[] };
