/** `npm test`: types, format, lint and dead code, then every test file. `-- NAME` runs the test files whose path contains NAME, `--checks` only the checks. */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative, sep } from 'node:path';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const root = join(import.meta.dirname, '..');
const nodeMajorMin = 24;
const testFileTimeoutMs = 10 * 60_000;

interface Check {
  name: string;
  /** The program's script inside node_modules, so that the Node that runs this file also runs it. */
  script: string;
  arguments: string[];
}

const checks: Check[] = [
  { name: 'types', script: 'typescript/bin/tsc', arguments: ['-p', '.'] },
  { name: 'format', script: '@biomejs/biome/bin/biome', arguments: ['check', '.'] },
  { name: 'lint', script: 'oxlint/bin/oxlint', arguments: ['--type-aware', '.'] },
  { name: 'dead code', script: 'knip/bin/knip.js', arguments: ['--no-progress'] },
];

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  if (Number.parseInt(process.versions.node, 10) < nodeMajorMin) {
    console.error(
      `The tests need Node ${nodeMajorMin} and this is ${process.version}: run "npm ci", then "npm test", which uses the Node that it brought.`,
    );
    return 1;
  }
  const names = args.filter(argument => !argument.startsWith('--'));
  const unknown = args.find(argument => argument.startsWith('--') && argument !== '--checks');
  if (unknown || (names.length > 0 && args.includes('--checks'))) {
    console.error('usage: npm test [-- --checks | -- NAME …]');
    return 2;
  }
  const testFiles = findTestFiles(names);
  if (testFiles.length === 0) {
    console.error(`No test file has ${names.join(' or ')} in its path.`);
    return 1;
  }
  const failed = names.length === 0 ? await runChecks() : [];
  if (!args.includes('--checks')) failed.push(...(await runTestFiles(testFiles)));
  if (failed.length > 0) console.error(`\nfailed: ${failed.join(', ')}`);
  return failed.length > 0 ? 1 : 0;
}

function findTestFiles(names: string[]): string[] {
  const files = globSync(['src/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root }).map(file => file.split(sep).join('/'));
  return files.filter(file => names.length === 0 || names.some(name => file.includes(name))).sort();
}

/** Side by side, each with its output in one piece. Returns the names of those that failed. */
async function runChecks(): Promise<string[]> {
  const failed: string[] = [];
  await Promise.all(
    checks.map(async check => {
      const { succeeded, output } = await runCheck(check);
      console.log(`${succeeded ? '✔' : '✖'} ${check.name}`);
      if (succeeded) return;
      failed.push(check.name);
      console.log(output.trimEnd());
    }),
  );
  return failed;
}

async function runCheck(check: Check): Promise<{ succeeded: boolean; output: string }> {
  const child = spawn(process.execPath, [join(root, 'node_modules', check.script), ...check.arguments], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  child.on('error', reject);
  child.on('close', code => resolve(code === 0));
  return { succeeded: await promise, output: Buffer.concat(chunks).toString() };
}

/** Returns the files in which a test failed. */
async function runTestFiles(files: string[]): Promise<string[]> {
  const failed = new Set<string>();
  const events = run({
    cwd: root,
    files: files.map(file => join(root, file)),
    concurrency: availableParallelism(),
    timeout: testFileTimeoutMs,
  });
  events.on('test:fail', ({ file, name }) => failed.add(file ? relative(root, file) : name));
  const report = events.compose(spec).pipe(keepOpen(process.stdout));
  await finished(report);
  return [...failed];
}

/** A stream that ends without ending the one behind it, which has more to say. */
function keepOpen(stream: NodeJS.WriteStream): Writable {
  return new Writable({ write: (chunk: Buffer, _encoding, done) => void stream.write(chunk, () => done()) });
}
