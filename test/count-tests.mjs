/**
 * What a vitest run came to. `report` is what its JSON reporter wrote (undefined: nothing), `failure` why the process did
 * not end well (undefined: it did). Whatever is not a passed test, and should have been one, is a failure.
 */
export function countTests(report, failure) {
  if (!Array.isArray(report?.testResults)) {
    return { passed: 0, failed: 1, notes: [failure ?? 'no report was written'] };
  }
  const notes = [];
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for (const file of report.testResults) {
    const tests = file.assertionResults ?? [];
    const failedHere = tests.filter(({ status }) => status === 'failed').length;
    const passedHere = tests.filter(({ status }) => status === 'passed').length;
    passed += passedHere;
    failed += failedHere;
    skipped += tests.length - passedHere - failedHere;
    // A file that could not be loaded has failed without a test of its own.
    if (file.status === 'failed' && failedHere === 0) failed += 1;
    else if (tests.length === 0) failed += 1;
  }
  if (skipped > 0) {
    failed += skipped;
    notes.push(`${skipped} skipped`);
  }
  if (passed + failed === 0) {
    failed += 1;
    notes.push('no test was found');
  }
  if (failure !== undefined) {
    // Unhandled errors and crashes fail a run without failing a test.
    if (failed === 0) failed += 1;
    notes.push(failure);
  }
  return { passed, failed, notes };
}
