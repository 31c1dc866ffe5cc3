/** Holds the architecture and the documents, and shows with planted breaches that each rule can fail. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, it } from 'node:test';
import { packageByProgram } from './support/programs.ts';
import { codeOf, specifiersOf, withoutComments } from './support/source-text.ts';
import * as tidy from './support/tidy.ts';
import * as documents from './support/tidy-documents.ts';

const root = join(import.meta.dirname, '..');
const repository = readFiles([
  'src/**/*',
  'test/**/*.ts',
  'bench/**/*.ts',
  'bin/*',
  'docs/**/*',
  '.ci/*',
  '*.md',
  'package.json',
  'LICENSE',
]);
const rules = { ...tidy, ...documents };

function readFiles(patterns: string[]): tidy.Files {
  const entries = globSync(patterns, { cwd: root, withFileTypes: true }).filter(entry => entry.isFile());
  const paths = entries.map(entry => join(entry.parentPath, entry.name).slice(root.length + 1));
  return new Map(paths.sort().map(path => [path.split(sep).join('/'), readFileSync(join(root, path), 'utf8')]));
}

function planted(files: Record<string, string>): tidy.Files {
  return new Map(Object.entries(files));
}

const imports = (...specifiers: string[]) => specifiers.map(specifier => `import { x } from '${specifier}';\n`).join('');

describe('the repository', () => {
  it('has been read', () => {
    for (const path of ['src/config.ts', 'test/tidy.test.ts', 'bin/scep-connector.mjs', 'package.json'])
      assert.ok(repository.has(path), path);
  });

  for (const [name, rule] of Object.entries(rules)) {
    it(`has no ${sentence(name)}`, () => assert.equal(rule(repository).join('\n'), ''));
  }

  it('installs for its own tests what programs.ts says they need', () => {
    const script = repository.get('.ci/run') ?? '';
    for (const name of Object.values(packageByProgram)) assert.match(script, new RegExp(`\\s${name}\\s`));
  });
});

describe('upwardImports', () => {
  const breaches: [path: string, target: string][] = [
    ['src/base/a.ts', '../backends/b.ts'],
    ['src/base/pki/a.ts', '../../service/b.ts'],
    ['src/backends/store/a.ts', '../../service/b.ts'],
    ['src/service/a.ts', '../fronts/api/b.ts'],
    ['src/service/a.ts', '../config.ts'],
    ['src/fronts/api/a.ts', '../../server.ts'],
    ['src/fronts/api/a.ts', '../../cli.ts'],
    ['src/fronts/api/a.ts', '../../../test/support/b.ts'],
  ];
  for (const [path, target] of breaches) {
    it(`catches ${path} importing ${target}`, () => assert.equal(tidy.upwardImports(planted({ [path]: imports(target) })).length, 1));
  }

  it('catches types, dynamic imports, re-exports, worker modules and side effects alike', () => {
    const forms = [
      `import type { B } from '../service/b.ts';`,
      `import {\n  a,\n  b,\n} from '../service/b.ts';`,
      `const b = await import('../service/b.ts');`,
      `type B = import('../service/b.ts').B;`,
      `export { b } from '../service/b.ts';`,
      `export * from '../service/b.ts';`,
      `new Worker(new URL('../service/b.ts', import.meta.url));`,
      `import '../service/b.ts';`,
    ];
    for (const form of forms) assert.equal(tidy.upwardImports(planted({ 'src/base/a.ts': form })).length, 1, form);
  });

  it('catches a file outside the layers', () => {
    assert.equal(tidy.upwardImports(planted({ 'src/lib/a.ts': '' })).length, 1);
  });

  it('lets imports go down, from any layer to any below it, and root files import anything', () => {
    const files = planted({
      'src/fronts/api/a.ts': imports('../../service/b.ts', '../../base/c.ts', './d.ts', 'node:fs', 'zod'),
      'src/service/b.ts': imports('../backends/e.ts', '../base/c.ts'),
      'src/server.ts': imports('./config.ts', './fronts/api/a.ts', './backends/e.ts'),
      'src/base/c.test.ts': imports('../../test/support/f.ts'),
    });
    assert.deepEqual(tidy.upwardImports(files), []);
  });

  it('does not take a comment for an import', () => {
    assert.deepEqual(
      tidy.upwardImports(planted({ 'src/base/a.ts': `// import { b } from '../service/b.ts';\n/* import('../service/b.ts') */` })),
      [],
    );
  });
});

describe('importsAcrossParts', () => {
  const breaches: [path: string, target: string][] = [
    ['src/fronts/api/a.ts', '../scep/b.ts'],
    ['src/fronts/publication/a.ts', '../api/b.ts'],
    ['src/backends/ca/a.ts', '../store/b.ts'],
    ['src/backends/store/a.ts', '../key-protector.ts'],
    ['src/backends/key-protector.ts', './store/b.ts'],
  ];
  for (const [path, target] of breaches) {
    it(`catches ${path} importing ${target}`, () => assert.equal(tidy.importsAcrossParts(planted({ [path]: imports(target) })).length, 1));
  }

  it('lets a part import itself and what is below', () => {
    const files = planted({
      'src/fronts/api/a.ts': imports('./b.ts', '../../service/c.ts'),
      'src/backends/key-protector.test.ts': imports('./key-protector.ts'),
      'src/service/c.ts': imports('./d.ts'),
    });
    assert.deepEqual(tidy.importsAcrossParts(files), []);
  });
});

describe('the other rules', () => {
  it('serverCodeInConsole catches the console importing a layer that is below it', () => {
    const files = planted({ 'src/fronts/console/a.ts': imports('../../base/b.ts', './c.ts') });
    assert.deepEqual(tidy.serverCodeInConsole(files), ["src/fronts/console/a.ts imports src/base/b.ts, which is the server's"]);
  });

  it('importCycles catches a cycle of three, of two and of one, each once', () => {
    const files = planted({
      'src/base/a.ts': imports('./b.ts'),
      'src/base/b.ts': imports('./c.ts', './d.ts'),
      'src/base/c.ts': `import type { a } from './a.ts';`,
      'src/base/d.ts': imports('./b.ts'),
      'src/base/e.ts': imports('./e.ts'),
      'src/base/f.ts': imports('./a.ts', './e.ts'),
    });
    assert.deepEqual(tidy.importCycles(files), [
      'src/base/a.ts → src/base/b.ts → src/base/c.ts → src/base/a.ts',
      'src/base/b.ts → src/base/d.ts → src/base/b.ts',
      'src/base/e.ts → src/base/e.ts',
    ]);
  });

  it('importCycles lets two ways lead to one file', () => {
    const files = planted({ 'src/base/a.ts': imports('./b.ts', './c.ts'), 'src/base/b.ts': imports('./c.ts'), 'src/base/c.ts': '' });
    assert.deepEqual(tidy.importCycles(files), []);
  });

  it('deadFiles catches a file that only its test or another dead file imports', () => {
    const files = planted({
      'src/cli.ts': `await import('./server.ts');`,
      'src/server.ts': `new URL('./base/worker.ts', import.meta.url);`,
      'src/base/worker.ts': '',
      'src/base/dead.ts': imports('./deader.ts'),
      'src/base/deader.ts': '',
      'src/base/dead.test.ts': imports('./dead.ts'),
    });
    assert.deepEqual(tidy.deadFiles(files), [
      'src/base/dead.ts is not reached from src/cli.ts',
      'src/base/deader.ts is not reached from src/cli.ts',
    ]);
  });

  it('missingFirstSentences catches a first line that is code, a plain comment, or no sentence', () => {
    const texts = [`import 'a';`, '// Reads.', '/** Reads */', '/**\n * Reads.\n */', '', '#!/usr/bin/env node\nx();'];
    for (const text of texts) assert.equal(tidy.missingFirstSentences(planted({ 'src/base/a.ts': text })).length, 1, text);
    assert.deepEqual(tidy.missingFirstSentences(planted({ 'bin/a.mjs': '#!/usr/bin/env node\n/** Reads. */\n' })), []);
  });

  it('longFiles catches the 401st line', () => {
    assert.deepEqual(tidy.longFiles(planted({ 'test/a.ts': 'x\n'.repeat(400) })), []);
    assert.equal(tidy.longFiles(planted({ 'test/a.ts': 'x\n'.repeat(401) })).length, 1);
  });

  it('poorNames catches other cases and words that say nothing', () => {
    for (const name of ['fooBar', 'Foo', 'foo_bar', 'utils', 'store-utils', 'common', 'ca-manager', 'store-impl', 'helpers/x']) {
      assert.equal(tidy.poorNames(planted({ [`src/base/${name}.ts`]: '' })).length, 1, name);
    }
    assert.deepEqual(
      tidy.poorNames(planted({ 'src/base/pki/pkcs10.test.ts': '', 'src/backends/store/migrations/0001-initial.ts': '' })),
      [],
    );
  });

  it('outsideReaders catches the clock, randomness, the environment and output wherever they are read', () => {
    const texts = [
      'const t = Date.now();',
      'const t = new Date();',
      'const t = `${new Date()}`;',
      'const t = performance.now();',
      'const t = process.hrtime.bigint();',
      'const r = Math.random();',
      'const r = crypto.randomUUID();',
      'globalThis.crypto.getRandomValues(bytes);',
      `import { createHash, randomBytes } from 'node:crypto';`,
      `import {\n  randomInt as int,\n} from 'node:crypto';`,
      'const e = process.env.HOME;',
      `const e = process['env'];`,
      `import { env } from 'node:process';`,
      `console.log('x');`,
      `process.stdout.write('x');`,
      `process.stderr.write('x');`,
    ];
    for (const text of texts) assert.equal(tidy.outsideReaders(planted({ 'src/service/a.ts': text })).length, 1, text);
  });

  it('outsideReaders lets each be read by its own file, a given System be used, and a given instant be shown', () => {
    const files = planted({
      'src/base/system.ts': `import { randomBytes } from 'node:crypto';\nDate.now();`,
      'src/config.ts': 'process.env;',
      'src/cli.ts': 'console.log(1); process.stdout.write(2);',
      'src/service/a.ts': `// Date.now()\nsystem.randomBytes(16); new Date(system.now()).toISOString(); log('Math.random()');`,
      'src/service/a.test.ts': 'Date.now();',
    });
    assert.deepEqual(tidy.outsideReaders(files), []);
  });

  it('foreignCodecs catches an ASN.1 library in production code and among the dependencies', () => {
    for (const name of ['pkijs', 'asn1js', 'node-forge', 'node-forge/lib/asn1.js', '@peculiar/x509']) {
      assert.equal(tidy.foreignCodecs(planted({ 'src/base/pki/a.ts': imports(name) })).length, 1, name);
    }
    assert.equal(tidy.foreignCodecs(planted({ 'package.json': '{"dependencies":{"pkijs":"1"}}' })).length, 1);
    const allowed = planted({ 'src/base/pki/a.test.ts': imports('pkijs'), 'package.json': '{"devDependencies":{"pkijs":"1"}}' });
    assert.deepEqual(tidy.foreignCodecs(allowed), []);
  });
});

describe('the documents’ rules', () => {
  it('brokenLinks catches a link to a file that is not there, from the document’s own folder', () => {
    const files = planted({
      'README.md': '[a](docs/a.md) [b](docs/b.md#top) [c](https://example.com/c) [d](#d) [docs](docs/) ![e](e.png) `[f](f.md)`',
      'docs/a.md': '[up](../README.md) [not](README.md)',
    });
    assert.deepEqual(documents.brokenLinks(files), [
      'README.md links to docs/b.md#top, which does not exist',
      'README.md links to e.png, which does not exist',
      'docs/a.md links to README.md, which does not exist',
    ]);
  });

  const tree = [
    '# A',
    '## The tree',
    '```',
    'src/',
    '  a.ts   first',
    '  base/',
    '    b.ts',
    '  store/   one file per table',
    'test/',
    '```',
    '',
  ].join('\n');

  it('missingFromRepository catches a path of the tree that is gone', () => {
    const files = planted({ 'ARCHITECTURE.md': tree, 'src/a.ts': '', 'src/store/c.ts': '', 'test/x.ts': '' });
    assert.deepEqual(documents.missingFromRepository(files), [
      'ARCHITECTURE.md names src/base/, which does not exist',
      'ARCHITECTURE.md names src/base/b.ts, which does not exist',
    ]);
  });

  it('repeatedInTree catches a path that stands twice, and not a name in two folders', () => {
    const repeated = tree.replace('    b.ts', '    b.ts\n    a.ts\n    b.ts');
    assert.deepEqual(documents.repeatedInTree(planted({ 'ARCHITECTURE.md': repeated })), [
      'ARCHITECTURE.md names src/base/b.ts more than once',
    ]);
  });

  it('missingFromTree catches a source file without a line', () => {
    const files = planted({
      'ARCHITECTURE.md': tree,
      'src/a.ts': '',
      'src/base/b.ts': '',
      'src/base/new.ts': '',
      'src/store/c.ts': '',
      'src/d.ts': '',
    });
    assert.deepEqual(documents.missingFromTree(files), [
      'ARCHITECTURE.md has no line for src/base/new.ts',
      'ARCHITECTURE.md has no line for src/d.ts',
    ]);
  });
});

describe('the scanner', () => {
  it('tells code from comments, texts, patterns and templates', () => {
    const source = "a /* b */ + \"c\" + `d ${e + `f ${g}`} // h` + i / j / k + l.match(/m'[/*]/) // n\n+ '//o';";
    assert.equal(codeOf(source).replace(/\s+/g, ' '), 'a + + ` ${e + ` ${g}`} ` + i / j / k + l.match( ) + ;');
    assert.equal(withoutComments(source), "a   + \"c\" + `d ${e + `f ${g}`} // h` + i / j / k + l.match(/m'[/*]/)  \n+ '//o';");
  });

  it('finds every import of the real files', () => {
    for (const [path, text] of repository) {
      const statements = text.match(/^(?:import|export|\}).* from '[^']+'(?: with \{.*\})?;$/gm) ?? [];
      if (path.startsWith('src/')) assert.equal(specifiersOf(text).length, statements.length, path);
    }
  });
});

function sentence(camelCase: string): string {
  return camelCase.replace(/[A-Z]/g, letter => ` ${letter.toLowerCase()}`);
}
