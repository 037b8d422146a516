// `npm test`: builds, then runs every check and every test, and ends with one line, "N passed, N failed", for the whole run.
// A skipped test counts as failed: what cannot run here must say so loudly.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = (name) => join(root, 'node_modules', '.bin', name);
const reports = join(root, 'build', 'reports');
mkdirSync(reports, { recursive: true });

/** Runs a command with a time limit; resolves with whether it exited with 0. */
function run(command, args, minutes) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, FORCE_COLOR: '0' } });
    const timer = setTimeout(() => {
      console.error(`${command} did not finish within ${minutes} minutes`);
      child.kill('SIGKILL');
    }, minutes * 60_000);
    child.on('error', (error) => {
      console.error(String(error));
      clearTimeout(timer);
      resolve(false);
    });
    child.on('exit', (code) => {
      clearTimeout(timer);
      resolve(code === 0);
    });
  });
}

const check = (command, ...args) => async () => {
  const ok = await run(command, args, 5);
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1 };
};

const vitest = (project) => async () => {
  const file = join(reports, `${project}.json`);
  rmSync(file, { force: true });
  const ok = await run(bin('vitest'), ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`], 15);
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    const passed = report.numPassedTests;
    const failed = report.numTotalTests - passed;
    // A crash outside of any test, or no test at all, fails the step.
    return { passed, failed: failed + (failed === 0 && (!ok || passed === 0) ? 1 : 0) };
  } catch {
    return { passed: 0, failed: 1 };
  }
};

const steps = {
  build: check(process.execPath, 'build.mjs'),
  format: check(bin('prettier'), '--check', '.'),
  lint: check(bin('eslint'), '.'),
  types: check(bin('tsc'), '-p', 'tsconfig.json'),
  'package (publint)': check(bin('publint'), '--strict'),
  'package types (attw)': check(bin('attw'), '--pack', '--profile', 'esm-only', '.'),
  'bundle size': check(bin('size-limit')),
  'tests in Node': vitest('node'),
  'tests in Chromium': vitest('browser'),
};

const rows = [];
for (const [name, step] of Object.entries(steps)) {
  console.log(`\n== ${name}`);
  const start = performance.now();
  const result = await step();
  rows.push({ name, ...result, seconds: (performance.now() - start) / 1000 });
  if (name === 'build' && result.failed > 0) break;
}
console.log('\nstep                     passed  failed  seconds');
for (const { name, passed, failed, seconds } of rows) {
  console.log(`${name.padEnd(24)} ${String(passed).padStart(6)}  ${String(failed).padStart(6)}  ${seconds.toFixed(1).padStart(7)}`);
}
const total = (key) => rows.reduce((sum, row) => sum + row[key], 0);
console.log(`${total('passed')} passed, ${total('failed')} failed`);
process.exit(total('failed') === 0 && total('passed') > 0 ? 0 : 1);
