// `npm test`: everything that must hold before a change lands, one step after another, with what it prints shown live.
// `npm test -- lint node` runs the named steps only. The last line is the count over the whole run: every check counts as
// one, every test as one; a skipped test, a step that crashes or runs out of time and a step without a test are failures.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { countTests } from './count-tests.mjs';

const root = join(import.meta.dirname, '..');
const results = join(root, 'build', 'test-results');
const minutes = (n) => n * 60_000;

const script = (name, label, limit) => ({ name, label, limit, command: ['npm', 'run', '--silent', name] });
const vitest = (project, limit) => {
  const report = join(results, `${project}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const command = [
    process.execPath,
    'node_modules/vitest/vitest.mjs',
    'run',
    '--project',
    project,
    '--allowOnly=false',
    ...reporters,
  ];
  return { name: project, label: `tests in ${project === 'node' ? 'Node' : 'Chromium'}`, limit, command, report };
};

const steps = [
  script('build', 'build', minutes(6)),
  script('format:check', 'formatting (prettier)', minutes(3)),
  script('lint', 'lint (eslint)', minutes(6)),
  script('typecheck', 'types (tsc)', minutes(5)),
  script('check:publint', 'package (publint)', minutes(3)),
  script('check:attw', 'package types (attw)', minutes(5)),
  script('size', 'size (size-limit)', minutes(3)),
  vitest('node', minutes(35)),
  vitest('browser', minutes(15)),
];

let running;

/** Kills a step and whatever it started: each step leads a process group of its own. */
function kill(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has gone already.
  }
}

function run({ command, limit }) {
  return new Promise((resolve) => {
    const child = spawn(command[0], command.slice(1), {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit'],
      // Steps that pack the package must not build it once more under the feet of the others.
      env: { ...process.env, npm_config_ignore_scripts: 'true', npm_config_update_notifier: 'false' },
    });
    running = child;
    let why;
    const timer = setTimeout(() => {
      why = `ran longer than ${limit / 60_000} minutes`;
      kill(child, 'SIGTERM');
      setTimeout(() => kill(child, 'SIGKILL'), 5_000).unref();
    }, limit);
    child.on('error', (error) => (why = error.message));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      // Browsers and workers that a crashed step left behind.
      kill(child, 'SIGKILL');
      running = undefined;
      resolve(why ?? (signal ? `killed by ${signal}` : code === 0 ? undefined : `exit code ${code}`));
    });
  });
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (running) kill(running, 'SIGKILL');
    process.exit(1);
  });
}

const named = process.argv.slice(2);
const unknown = named.filter((name) => !steps.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(`no step is called ${unknown.join(', ')}; there are ${steps.map((step) => step.name).join(', ')}`);
  process.exit(2);
}

rmSync(results, { recursive: true, force: true });
mkdirSync(results, { recursive: true });
const summary = [];
let broken;
for (const step of steps.filter(({ name }) => named.length === 0 || named.includes(name))) {
  if (broken) {
    summary.push({ ...step, passed: 0, failed: 1, notes: [`not run: ${broken} failed`], seconds: 0 });
    continue;
  }
  console.log(`\n=== ${step.label}`);
  const start = performance.now();
  const failure = await run(step);
  const seconds = (performance.now() - start) / 1000;
  const outcome = step.report
    ? countTests(readReport(step.report), failure)
    : { passed: failure ? 0 : 1, failed: failure ? 1 : 0, notes: failure ? [failure] : [] };
  summary.push({ ...step, ...outcome, seconds });
  if (step.name === 'build' && failure) broken = 'build';
}

function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

const total = { passed: 0, failed: 0 };
console.log(`\n${'step'.padEnd(24)} ${'passed'.padStart(7)} ${'failed'.padStart(7)} ${'seconds'.padStart(8)}`);
for (const { label, passed, failed, notes, seconds } of summary) {
  total.passed += passed;
  total.failed += failed;
  const numbers = `${String(passed).padStart(7)} ${String(failed).padStart(7)} ${seconds.toFixed(1).padStart(8)}`;
  console.log(`${label.padEnd(24)} ${numbers}${notes.length > 0 ? `  ${notes.join('; ')}` : ''}`);
}
const line = `${total.passed} passed, ${total.failed} failed`;
writeFileSync(join(results, 'summary.txt'), `${line}\n`);
console.log(`\n${line}`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
