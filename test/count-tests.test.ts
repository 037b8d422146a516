import { describe, expect, it } from 'vitest';
import { countTests } from './count-tests.mjs';

const file = (...statuses: string[]): object => ({
  status: statuses.includes('failed') ? 'failed' : 'passed',
  assertionResults: statuses.map((status) => ({ status })),
});

describe('the count of a test run', () => {
  it('adds up files', () => {
    expect(countTests({ testResults: [file('passed', 'passed'), file('passed', 'failed')] }, 'exit code 1')).toEqual({
      passed: 3,
      failed: 1,
      notes: ['exit code 1'],
    });
  });

  it.each([
    ['nothing was reported', undefined, undefined],
    ['no test was found', { testResults: [] }, undefined],
    ['a file holds no test', { testResults: [file()] }, undefined],
    ['a test is skipped', { testResults: [file('passed', 'skipped')] }, undefined],
    ['a test is left to do', { testResults: [file('passed', 'todo')] }, undefined],
    [
      'a file cannot be loaded',
      { testResults: [file('passed'), { status: 'failed', assertionResults: [] }] },
      'exit code 1',
    ],
    ['an error was not handled', { testResults: [file('passed')] }, 'exit code 1'],
    ['the run was cut off', { testResults: [file('passed')] }, 'killed by SIGKILL'],
  ])('is a failure when %s', (_, report, failure) => {
    expect(countTests(report, failure).failed).toBe(1);
  });

  it('passes when every test passes', () => {
    expect(countTests({ testResults: [file('passed'), file('passed', 'passed')] }, undefined)).toEqual({
      passed: 3,
      failed: 0,
      notes: [],
    });
  });
});
