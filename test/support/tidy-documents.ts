/** The rules that keep the documents true to the repository, as pure functions over a map of path → text. */
import { posix } from 'node:path';
import type { Files } from './tidy.ts';

/** Every link of a Markdown document to a file of the repository leads to one, or to a folder. */
export function brokenLinks(files: Files): string[] {
  return [...files].flatMap(([path, text]) => {
    if (!path.endsWith('.md')) return [];
    const targets = [...withoutCode(text).matchAll(/\]\(<?([^)\s>]+)>?(?:\s[^)]*)?\)/g)].map(([, target = '']) => target);
    const local = targets.filter(target => !/^(?:[a-z]+:|#)/i.test(target));
    const broken = local.filter(target => !exists(files, posix.join(posix.dirname(path), target.replace(/#.*/, ''))));
    return broken.map(target => `${path} links to ${target}, which does not exist`);
  });
}

/** Every path of the tree in ARCHITECTURE.md exists. */
export function missingFromRepository(files: Files): string[] {
  const missing = treePaths(files).filter(path => !exists(files, path));
  return missing.map(path => `ARCHITECTURE.md names ${path}, which does not exist`);
}

/** No path stands twice in the tree. */
export function repeatedInTree(files: Files): string[] {
  const paths = treePaths(files);
  const repeated = paths.filter((path, index) => paths.indexOf(path) < index);
  return repeated.map(path => `ARCHITECTURE.md names ${path} more than once`);
}

/** Every source file has its line in the tree, or lies in a folder that the tree names without going into it. */
export function missingFromTree(files: Files): string[] {
  const named = treePaths(files);
  const closed = named.filter(path => path.endsWith('/') && !named.some(other => other !== path && other.startsWith(path)));
  const sources = [...files.keys()].filter(path => path.startsWith('src/') && !path.endsWith('.test.ts'));
  const missing = sources.filter(path => !named.includes(path) && !closed.some(folder => path.startsWith(folder)));
  return missing.map(path => `ARCHITECTURE.md has no line for ${path}`);
}

/** The tree is the first fenced block after the heading "The tree": one path a line, two spaces a level, folders with a closing slash. */
function treePaths(files: Files): string[] {
  const [, tree = ''] = /^## The tree\n[^]*?^```\w*\n([^]*?)^```/m.exec(files.get('ARCHITECTURE.md') ?? '') ?? [];
  const folders: string[] = [];
  return tree.split('\n').flatMap(line => {
    const [, indent = '', name] = /^( *)(\S+)/.exec(line) ?? [];
    if (name === undefined) return [];
    folders.length = Math.min(folders.length, indent.length / 2);
    const path = folders.join('') + name;
    if (name.endsWith('/')) folders.push(name);
    return [path];
  });
}

function exists(files: Files, path: string): boolean {
  if (files.has(path)) return true;
  const folder = path.endsWith('/') ? path : `${path}/`;
  return folder === './' || [...files.keys()].some(file => file.startsWith(folder));
}

function withoutCode(markdown: string): string {
  return markdown.replace(/^```[^]*?^```/gm, '').replace(/`[^`\n]*`/g, '');
}
