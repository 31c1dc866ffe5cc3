/** The rules of the architecture as pure functions over a map of path → text; each returns one sentence per breach. */
import { posix } from 'node:path';
import { codeOf, specifiersOf } from './source-text.ts';

/** Paths are relative to the repository's root, with `/`. */
export type Files = ReadonlyMap<string, string>;

/** The command line's own SCEP client stands beside the server: nothing of the server imports it, and it imports the base alone. */
const clientFolder = 'src/client/';
const layers = ['src/base/', 'src/backends/', 'src/service/', 'src/fronts/', clientFolder];
/** In these layers each part stands alone: a part is the folder or file below the layer. */
const separateLayers = ['src/backends/', 'src/fronts/'];
const consoleFolder = 'src/fronts/console/';
const entry = 'src/cli.ts';
const linesMax = 400;
const vagueNames = ['utils', 'util', 'helpers', 'helper', 'common', 'manager', 'impl'];
const foreignAsn1 = /^(?:pkijs|asn1js|node-forge|@peculiar)(?:\/|$)/;

const isTest = (path: string) => path.endsWith('.test.ts');
const isSource = (path: string) => path.startsWith('src/') && /\.m?[jt]s$/.test(path);
const isRootFile = (path: string) => /^src\/[^/]+$/.test(path);
const layerOf = (path: string) => layers.findIndex(layer => path.startsWith(layer));

/** Every edge from one of our files to another; a path that is missing is an edge as well. */
function edgesFrom(path: string, text: string): string[] {
  const local = specifiersOf(text).filter(specifier => specifier.startsWith('.'));
  return [...new Set(local.map(specifier => posix.join(posix.dirname(path), specifier)))];
}

function sources(files: Files): [path: string, text: string][] {
  return [...files].filter(([path]) => isSource(path));
}

function production(files: Files): [path: string, text: string][] {
  return sources(files).filter(([path]) => !isTest(path));
}

/** fronts → service → backends → base; the root files may import anything and only root files import them. */
export function upwardImports(files: Files): string[] {
  return sources(files).flatMap(([path, text]) => {
    if (!isRootFile(path) && layerOf(path) === -1) return [`${path} is in none of the layers`];
    const wrong = edgesFrom(path, text).filter(target => isUpward(path, target));
    return wrong.map(target => `${path} imports ${target}, which is above it`);
  });
}

function isUpward(path: string, target: string): boolean {
  if (!target.startsWith('src/')) return !isTest(path) && target !== 'package.json';
  if (isRootFile(path)) return false;
  if (path.startsWith(clientFolder)) return !target.startsWith(clientFolder) && layerOf(target) !== 0;
  return isRootFile(target) || layerOf(target) > layerOf(path);
}

/** The fronts do not know one another, nor do the parts of backends. */
export function importsAcrossParts(files: Files): string[] {
  return sources(files).flatMap(([path, text]) => {
    const part = partOf(path);
    const wrong = edgesFrom(path, text).filter(
      target => part && partOf(target) && partOf(target) !== part && layerOf(target) === layerOf(path),
    );
    return wrong.map(target => `${path} imports ${target}, another part of its layer`);
  });
}

/** A part's file and its test, `key-protector.ts` and `key-protector.test.ts`, are one part. */
function partOf(path: string): string | undefined {
  const layer = separateLayers.find(prefix => path.startsWith(prefix));
  return (
    layer &&
    path
      .slice(layer.length)
      .split('/')[0]
      ?.replace(/(?:\.test)?\.ts$/, '')
  );
}

/** The console is a client of the API that runs in a browser. */
export function serverCodeInConsole(files: Files): string[] {
  return sources(files).flatMap(([path, text]) => {
    if (!path.startsWith(consoleFolder)) return [];
    const wrong = edgesFrom(path, text).filter(target => !target.startsWith(consoleFolder));
    return wrong.map(target => `${path} imports ${target}, which is the server's`);
  });
}

/** Types count: two files that need each other's types are one file. Each cycle is reported once, from where it is first met. */
export function importCycles(files: Files): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: string[]) => {
    const text = files.get(path);
    if (text === undefined || done.has(path)) return;
    if (trail.includes(path)) {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
      return;
    }
    for (const target of edgesFrom(path, text)) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const [path] of sources(files)) visit(path, []);
  return cycles;
}

/** What the command cannot reach is dead, tests apart. */
export function deadFiles(files: Files): string[] {
  const reached = new Set<string>();
  const pending = [entry];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    pending.push(...edgesFrom(path, files.get(path) ?? ''));
  }
  return production(files).flatMap(([path]) => (reached.has(path) ? [] : [`${path} is not reached from ${entry}`]));
}

export function missingFirstSentences(files: Files): string[] {
  return scripts(files).flatMap(([path, text]) => {
    const [first = ''] = text.replace(/^#!.*\n/, '').split('\n');
    return /^\/\*\* \S.*[.?!] \*\/$/.test(first) ? [] : [`${path} does not begin with a sentence on its job in /** … */`];
  });
}

export function longFiles(files: Files): string[] {
  return scripts(files).flatMap(([path, text]) => {
    const lines = text.trimEnd().split('\n').length;
    return lines > linesMax ? [`${path} has ${lines} lines, more than ${linesMax}`] : [];
  });
}

export function poorNames(files: Files): string[] {
  return scripts(files).flatMap(([path]) => {
    const names = path.replace(/(?:\.test)?\.m?[jt]s$/, '').split('/');
    const poor = names.filter(name => !/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(name) || name.split('-').some(word => vagueNames.includes(word)));
    return poor.length > 0 ? [`${path} is not named by a noun in kebab-case`] : [];
  });
}

function scripts(files: Files): [path: string, text: string][] {
  return [...files].filter(([path]) => /\.m?[jt]s$/.test(path));
}

/** What reads the world outside: the one file that may, how it looks in code, and the names that give it when imported from Node. */
const outside = [
  {
    what: 'the clock or randomness',
    only: 'src/base/system.ts',
    code: /\bDate\.now\b|\bnew\s+Date\b(?!\s*\(\s*[^)\s])|\bTemporal\.Now\b|\bperformance\.now\b|\bhrtime\b|\bMath\.random\b|\bcrypto\.(?:random\w+|getRandomValues)\b/,
    imported: /^(?:random\w+|getRandomValues|webcrypto|performance|hrtime)$/,
  },
  { what: 'the environment', only: 'src/config.ts', code: /\bprocess\s*(?:\.\s*env\b|\[)/, imported: /^env$/ },
  { what: 'the output', only: 'src/cli.ts', code: /\bconsole\s*\.|\bprocess\s*\.\s*std(?:out|err)\b/, imported: /^(?:stdout|stderr)$/ },
];

/** Only one file reads the clock and randomness, one the environment, and one prints. */
export function outsideReaders(files: Files): string[] {
  return production(files).flatMap(([path, text]) => {
    const code = codeOf(text);
    const names = namesFromNode(text);
    const broken = outside.filter(rule => rule.only !== path && (rule.code.test(code) || names.some(name => rule.imported.test(name))));
    return broken.map(rule => `${path} reaches for ${rule.what}, which only ${rule.only} may`);
  });
}

function namesFromNode(text: string): string[] {
  const clauses = text.matchAll(/\bimport\s*\{([^}]*)\}\s*from\s*'node:[\w/]+'/g);
  return [...clauses].flatMap(([, names = '']) => names.split(',').map(name => name.trim().split(/\s/)[0] ?? ''));
}

/** The ASN.1 libraries are oracles of the tests; production reads and writes with its own codec. */
export function foreignCodecs(files: Files): string[] {
  const imports = production(files).flatMap(([path, text]) => {
    const foreign = specifiersOf(text).filter(specifier => foreignAsn1.test(specifier));
    return foreign.map(specifier => `${path} imports ${specifier}`);
  });
  const { dependencies = {} } = JSON.parse(files.get('package.json') ?? '{}') as { dependencies?: Record<string, string> };
  const declared = Object.keys(dependencies).filter(name => foreignAsn1.test(name));
  return [...imports, ...declared.map(name => `package.json depends on ${name} in production`)];
}
