/** Finds tests by their titles in the source of a test file, so that a document can name one and is wrong when there is none. */
import { type Piece, piecesOf } from './source-text.ts';

/** Between a file, its describes and the test itself. */
const separator = ' › ';

/** A call of `describe` or `it`: where it stands, and what its title may be. */
interface Titled {
  isTest: boolean;
  start: number;
  end: number;
  /** Of the whole title, with a group for each part that only a run of the file knows. */
  title: RegExp;
}

interface Source {
  text: string;
  /** As long as the text, with comments, texts and patterns blanked: what brackets and commas are read from. */
  code: string;
}

/** Why a reference of the form `path › describe › … › it` names no test of these files; undefined when it does. */
export function missingTest(files: ReadonlyMap<string, string>, reference: string): string | undefined {
  const [path = '', ...titles] = reference.split(separator);
  const text = files.get(path);
  if (text === undefined) return `${reference}: there is no file ${path}`;
  return hasTest(text, titles) ? undefined : `${reference}: ${path} has no such test`;
}

function hasTest(text: string, titles: readonly string[]): boolean {
  const source = read(text);
  const calls = findCalls(source);
  const known = literalsOf(text);
  return calls.some(test => {
    if (!test.isTest) return false;
    const around = calls.filter(call => !call.isTest && call.start < test.start && test.end < call.end);
    const chain = [...around.toSorted((a, b) => a.start - b.start), test];
    return chain.length === titles.length && chain.every(({ title }, index) => matches(title, titles[index] ?? '', known));
  });
}

/** What stands in the place of a value must be spelt out somewhere in the file: a title of nothing but values fits everything else. */
function matches(title: RegExp, wanted: string, known: ReadonlySet<string>): boolean {
  const [whole, ...values] = title.exec(wanted) ?? [];
  return whole !== undefined && values.every(value => value === undefined || known.has(value));
}

function read(text: string): Source {
  const blank = ({ kind, text: piece }: Piece) => (kind === 'code' ? piece : piece.replace(/[^\n]/g, ' '));
  return { text, code: piecesOf(text).map(blank).join('') };
}

function literalsOf(text: string): Set<string> {
  const pieces = piecesOf(text);
  const texts = pieces.filter(({ kind }) => kind === 'text').map(piece => unquoted(piece.text));
  const code = pieces.map(({ kind, text: piece }) => (kind === 'code' ? piece : ' ')).join('');
  const words = code.match(/[\w$]+/g) ?? [];
  // 3_000 is shown as 3000, and the key of an object may be a name that is not quoted.
  return new Set([...texts, ...words, ...words.map(word => word.replaceAll('_', ''))]);
}

function findCalls(source: Source): Titled[] {
  return [...source.code.matchAll(/(?<![.\w$])(describe|it)\(/g)].flatMap(match => {
    const open = match.index + match[0].length;
    const end = endOf(source.code, open, ')');
    const titleEnd = Math.min(endOf(source.code, open, ','), end);
    const options = source.code.slice(titleEnd, end);
    if (/^,\s*\{[^}]*\b(?:skip:\s*true|todo)\b/.test(options)) return [];
    const title = new RegExp(`^${patternOf(source, open, titleEnd)}$`, 's');
    return [{ isTest: match[1] === 'it', start: match.index, end, title }];
  });
}

/** Where `closing` stands outside every bracket that is opened from `start` on; the end of the code where it does not. */
function endOf(code: string, start: number, closing: string): number {
  let depth = 0;
  let isInTemplate = false;
  for (let at = start; at < code.length; at++) {
    const character = code.charAt(at);
    if (depth === 0 && !isInTemplate && character === closing) return at;
    // The text of a template is blank, but its marks are code.
    if (character === '`' && depth === 0) isInTemplate = !isInTemplate;
    if ('([{'.includes(character)) depth++;
    if (')]}'.includes(character) && --depth < 0) return code.length;
  }
  return code.length;
}

/** The pattern of what an expression may be: texts as they are, both branches of a condition, and a group for any other value. */
function patternOf(source: Source, start: number, end: number): string {
  const raw = source.text.slice(start, end);
  const from = start + (raw.length - raw.trimStart().length);
  const to = start + raw.trimEnd().length;
  const text = source.text.slice(from, to);
  if (/^(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")$/s.test(text)) return escaped(unquoted(text));
  if (text.startsWith('`') && endOf(source.code.slice(0, to), from + 1, '`') === to - 1) return templatePattern(source, from + 1, to - 1);
  const question = endOf(source.code.slice(0, to), from, '?');
  if (question < to && source.code.charAt(question + 1) !== '?' && source.code.charAt(question + 1) !== '.') {
    const colon = endOf(source.code.slice(0, to), question + 1, ':');
    if (colon < to) return `(?:${patternOf(source, question + 1, colon)}|${patternOf(source, colon + 1, to)})`;
  }
  return '(.+?)';
}

function templatePattern(source: Source, start: number, end: number): string {
  let pattern = '';
  let at = start;
  while (at < end) {
    const hole = source.code.indexOf('${', at);
    if (hole < 0 || hole >= end) break;
    const close = endOf(source.code, hole + 2, '}');
    pattern += escaped(unescaped(source.text.slice(at, hole))) + patternOf(source, hole + 2, close);
    at = close + 1;
  }
  return pattern + escaped(unescaped(source.text.slice(at, end)));
}

function unquoted(text: string): string {
  return unescaped(/^(['"])(.*)\1$/s.exec(text)?.[2] ?? text);
}

function unescaped(text: string): string {
  return text.replace(/\\(['"`\\])/g, '$1');
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
