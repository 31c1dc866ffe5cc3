/** docs/scep-attacks.md has every attack once, and each has its tests here, under its number. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '../../..');

/** Text by path. */
type Files = ReadonlyMap<string, string>;

interface Row {
  number: string;
  /** The file of its tests. */
  tests: string;
}

function rowsOf(document: string): Row[] {
  const lines = document.split('\n').filter(line => line.startsWith('| F.'));
  return lines.map(line => {
    const cells = line.split('|').map(cell => cell.trim());
    return { number: cells[1] ?? '', tests: (cells.length === 7 && /^`(.+)`$/.exec(cells[5] ?? '')?.[1]) || '' };
  });
}

/** The files that have a group of tests of this number, with a test in it; one with two groups stands twice. */
function filesOf(files: Files, number: string): string[] {
  return [...files].flatMap(([path, source]) => {
    const groups = [...source.matchAll(/^describe\('(F\.\d+): [^]*?^\}\);$/gm)];
    return groups.filter(([text, row]) => row === number && /^ {2,4}it\(/m.test(text)).map(() => path);
  });
}

function problemsOf(document: string, files: Files): string[] {
  const rows = rowsOf(document);
  const numbers = rows.map(({ number }) => number);
  const misplaced = numbers.filter((number, index) => number !== `F.${index + 1}`);
  const unshown = rows.filter(({ number, tests }) => filesOf(files, number).join() !== tests).map(({ number }) => number);
  const titles = [...files.values()].flatMap(source => [...source.matchAll(/^describe\('(F\.\d+): /gm)].map(([, number = '']) => number));
  const unknown = titles.filter(number => !numbers.includes(number));
  return [
    ...misplaced.map(number => `${number} is out of order`),
    ...unshown.map(number => `${number} has not one group of tests in its file`),
    ...unknown.map(number => `${number} has tests and no row`),
  ];
}

describe('docs/scep-attacks.md', () => {
  const document = readFileSync(join(root, 'docs/scep-attacks.md'), 'utf8');
  const paths = globSync('test/scep/attacks/*.test.ts', { cwd: root }).map(path => path.replaceAll('\\', '/'));
  const files = new Map(paths.map(path => [path, readFileSync(join(root, path), 'utf8')]));

  it('has each attack once, in order, each with one group of tests', () => {
    assert.equal(rowsOf(document).length, 24);
    assert.deepEqual(problemsOf(document, files), []);
  });
});

describe('the rows of attacks', () => {
  const row = (number: number) => `| F.${number} | x | y | z | \`a.test.ts\` |`;
  const group = (number: number) => `describe('F.${number}: x', () => {\n  it('y', () => {});\n});\n`;
  const problems = (rows: string[], groups: string[]) => problemsOf(rows.join('\n'), new Map([['a.test.ts', groups.join('')]]));
  const [one, two] = [row(1), row(2)];
  const both = [group(1), group(2)];

  it('would be missed, and so would their tests', () => {
    assert.deepEqual(problems([one, two], both), []);
    assert.deepEqual(problems([one], both), ['F.2 has tests and no row']);
    assert.deepEqual(problems([one, two, two], both), ['F.2 is out of order']);
    const unshown = ['F.2 has not one group of tests in its file'];
    assert.deepEqual(problems([one, two], [group(1)]), unshown);
    assert.deepEqual(problems([one, two], [...both, group(2)]), unshown);
    assert.deepEqual(problems([one, two], [group(1), "describe('F.2: x', () => {\n});\n"]), unshown);
    assert.deepEqual(problems([one, two.replace('a.test.ts', 'b.test.ts')], both), unshown);
    assert.deepEqual(problems([one, '| F.2 | x | y | `a.test.ts` |'], both), unshown);
  });
});
