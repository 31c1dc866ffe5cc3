/** The table of docs/scep-conformance.md has every requirement once, and every test that it names exists. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, it } from 'node:test';
import { missingTest } from '../support/test-titles.ts';

const root = join(import.meta.dirname, '../..');

/** By section of the list of requirements, both inclusive. */
const ranges = [
  [1, 13],
  [20, 33],
  [40, 49],
  [50, 53],
  [60, 67],
  [70, 77],
] as const;
const requirements = ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, index) => `B${first + index}`));
const columns = 6;

interface Row {
  number: string;
  cells: string[];
  references: string[];
}

function rowsOf(document: string): Row[] {
  return document.split('\n').flatMap(line => {
    const cells = line
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim());
    const [number = ''] = cells;
    if (!/^B\d+$/.test(number)) return [];
    return [{ number, cells, references: [...(cells.at(-1) ?? '').matchAll(/`([^`]+)`/g)].map(([, reference = '']) => reference) }];
  });
}

function missing(files: ReadonlyMap<string, string>, { number, cells, references }: Row): string[] {
  if (cells.length !== columns || cells.includes('')) return [`${number} does not have ${columns} cells with something in each`];
  if (references.length === 0) return [`${number} names no test`];
  return references.flatMap(reference => {
    const isVector = /^test\/vectors\/[\w/.-]+\.txt$/.test(reference);
    const problem = isVector ? missingVector(reference) : missingTest(files, reference);
    return problem === undefined ? [] : [`${number}: ${problem}`];
  });
}

/** Each vector is a test of test/vectors/vectors.test.ts. */
function missingVector(path: string): string | undefined {
  return existsSync(join(root, path)) ? undefined : `there is no vector ${path}`;
}

const paths = globSync(['src/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root }).map(path => path.split(sep).join('/'));
const files = new Map(paths.map(path => [path, readFileSync(join(root, path), 'utf8')]));
const rows = rowsOf(readFileSync(join(root, 'docs/scep-conformance.md'), 'utf8'));

describe('docs/scep-conformance.md', () => {
  it('has each requirement once, in order', () => {
    assert.deepEqual(
      rows.map(({ number }) => number),
      requirements,
    );
  });

  it('names tests that exist', () =>
    assert.deepEqual(
      rows.flatMap(row => missing(files, row)),
      [],
    ));
});

describe('a row', () => {
  const line = (tests: string) => `| B1 | 2.9 | MUST | this | so | ${tests} |`;
  const problems = (tests: string) => rowsOf(line(tests)).flatMap(row => missing(files, row));
  const real = 'test/scep/http.test.ts › GetCACaps › takes no notice of message';

  it('is right with a test and with a vector', () => {
    assert.deepEqual(problems(`\`${real}\`<br>\`test/vectors/cms/whole.txt\``), []);
  });

  const wrong: [name: string, tests: string][] = [
    ['no test', 'by hand'],
    ['another title', `\`${real}s\``],
    ['another group', '`test/scep/http.test.ts › GetCACert › takes no notice of message`'],
    ['no group', '`test/scep/http.test.ts › takes no notice of message`'],
    ['a group alone', '`test/scep/http.test.ts › GetCACaps`'],
    ['a file that is not there', '`test/scep/nothing.test.ts › GetCACaps › takes no notice of message`'],
    ['a vector that is not there', '`test/vectors/cms/nothing.txt`'],
    ['a right one beside a wrong one', `\`${real}\`<br>\`test/vectors/cms/nothing.txt\``],
    ['an empty cell', ''],
  ];
  for (const [name, tests] of wrong) it(`is found out with ${name}`, () => assert.equal(problems(tests).length, 1));
});

describe('a reference', () => {
  const source = [
    "describe('a group', () => {",
    "  const forms = ['first', \"the second's\"];",
    '  for (const form of forms) {',
    "    it(`takes the ${form} form, and ${form === 'x' ? `no ${1} more` : 'all'}`, () => {});",
    '  }',
    "  describe('within (it)', () => {",
    "    it('is \\'here\\', `too`', () => {});",
    '  });',
    "  it.skip('is skipped', () => {});",
    "  it('is not run', { skip: true }, () => {});",
    "  it('is planned', { todo: 'later' }, () => {});",
    "  // it('is a comment', () => {});",
    '  const text = "it(\'is a text\', () => {})";',
    '});',
    "for (const name of ['x']) it(name, () => {});",
  ].join('\n');
  const found = (...titles: string[]) => missingTest(new Map([['a.test.ts', source]]), ['a.test.ts', ...titles].join(' › ')) === undefined;

  it('finds a title whose parts are values of the file, in the order in which it has them', () => {
    assert.ok(found('a group', 'takes the first form, and all'));
    assert.ok(found('a group', "takes the the second's form, and no 1 more"));
    assert.ok(found('a group', 'within (it)', "is 'here', `too`"));
    assert.ok(found('x'));
  });

  it('finds none whose parts are nowhere in it', () => {
    assert.ok(!found('a group', 'takes the third form, and all'));
    assert.ok(!found('a group', 'takes the first form, and some'));
    assert.ok(!found('within (it)', "is 'here', `too`"));
    assert.ok(!found('a group', "is 'here', `too`"));
    assert.ok(!found('y'));
  });

  it('finds none that is skipped, planned, a comment or a text', () => {
    for (const title of ['is skipped', 'is not run', 'is planned', 'is a comment', 'is a text']) assert.ok(!found('a group', title), title);
  });
});
