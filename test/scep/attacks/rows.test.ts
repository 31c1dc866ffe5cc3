/** Every row of the list of attacks, F.1 to F.24, has its tests here, under its number. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const rowsMax = 24;

/** The rows that do not have just one group of tests, or one without a test in it. */
function unshownRows(sources: readonly string[]): string[] {
  const groups = sources.flatMap(source => [...source.matchAll(/^describe\('(F\.\d+): [^]*?^\}\);$/gm)]);
  const shown = groups.filter(([text]) => /^ {2,4}it\(/m.test(text)).map(([, row]) => row);
  const rows = Array.from({ length: rowsMax }, (_, index) => `F.${index + 1}`);
  return rows.filter(row => shown.filter(each => each === row).length !== 1);
}

describe('the rows of attacks', () => {
  const sources = globSync('*.test.ts', { cwd: import.meta.dirname }).map(name => readFileSync(join(import.meta.dirname, name), 'utf8'));

  it('each have one group of tests', () => assert.deepEqual(unshownRows(sources), []));

  it('would be missed', () => {
    const groups = Array.from({ length: rowsMax }, (_, index) => `describe('F.${index + 1}: x', () => {\n  it('y', () => {});\n});\n`);
    assert.deepEqual(unshownRows([groups.join('')]), []);
    assert.deepEqual(unshownRows([groups.slice(0, -1).join('')]), ['F.24']);
    assert.deepEqual(unshownRows([groups.join(''), groups[4] ?? '']), ['F.5']);
    assert.deepEqual(unshownRows([groups.join('').replace("F.7: x', () => {\n  it('y', () => {});", "F.7: x', () => {")]), ['F.7']);
  });
});
