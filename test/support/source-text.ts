/** Reads TypeScript just far enough for the rules that hold it: code without comments, code without texts, and the modules a file names. */

export interface Piece {
  kind: 'code' | 'comment' | 'text' | 'pattern';
  text: string;
}

/** Comments are gone; texts stay, as module names are texts. */
export function withoutComments(source: string): string {
  return piecesOf(source)
    .map(piece => (piece.kind === 'comment' ? ' ' : piece.text))
    .join('');
}

/** Only what runs: comments, quoted texts and regular expressions are gone, what stands in a template's `${…}` stays. */
export function codeOf(source: string): string {
  return piecesOf(source)
    .map(piece => (piece.kind === 'code' ? piece.text : ' '))
    .join('');
}

/** The module names of `import … from`, `export … from`, `import '…'`, `import('…')` and `new URL('…', import.meta.url)`. */
export function specifiersOf(source: string): string[] {
  const code = withoutComments(source);
  const forms = [
    /\b(?:import|export)\b[^;'"()]*?\bfrom\s*['"]([^'"]+)['"]/g,
    /\bimport\s*\(?\s*['"]([^'"]+)['"]/g,
    /\bnew\s+URL\(\s*['"](\.[^'"]+)['"]\s*,\s*import\.meta\.url/g,
  ];
  return forms.flatMap(form => [...code.matchAll(form)].map(match => match[1] ?? ''));
}

/** The tokens that a scanner can tell apart without parsing. */
const comment = /\/\/[^\n]*|\/\*[^]*?\*\//y;
const quoted = /'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*"/y;
const pattern = /\/(?![*/])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const templateText = /(?:[^`\\$]|\\[^]|\$(?!\{))+/y;

/** `/` begins a pattern where a value may follow what stands before it, and divides elsewhere. */
const valueMayFollow = /(?:^|[(,=:[!&|?{};<>+\-*%~^]|\b(?:return|typeof|case|in|of|await|yield|throw|void|delete))\s*$/;
const lookBehind = 20;
const inText = -1;

/** The source in order, piece by piece; together they are the source. */
export function piecesOf(source: string): Piece[] {
  const pieces: Piece[] = [];
  /** For each open template: `inText`, or how many braces are open inside its current `${…}`. */
  const templates: number[] = [];
  let at = 0;
  const take = (kind: Piece['kind'], token: RegExp | number): boolean => {
    if (typeof token !== 'number') token.lastIndex = at;
    const text = typeof token === 'number' ? source.slice(at, at + token) : (token.exec(source)?.[0] ?? '');
    if (text !== '') pieces.push({ kind, text });
    at += text.length;
    return text !== '';
  };
  const behind = () => {
    const values = pieces.slice(-lookBehind).filter(piece => piece.kind !== 'comment');
    return values.map(piece => (piece.kind === 'code' ? piece.text : 'x')).join('');
  };
  while (at < source.length) {
    const depth = templates.at(-1);
    const character = source.charAt(at);
    if (depth === inText) {
      if (take('text', templateText)) continue;
      if (character === '`') templates.pop();
      else templates.splice(-1, 1, 0);
      take('code', character === '`' ? 1 : '${'.length);
      continue;
    }
    if (take('comment', comment) || take('text', quoted)) continue;
    if (character === '/' && valueMayFollow.test(behind()) && take('pattern', pattern)) continue;
    if (character === '`') templates.push(inText);
    if (depth !== undefined && character === '{') templates.splice(-1, 1, depth + 1);
    if (depth !== undefined && character === '}') templates.splice(-1, 1, depth - 1);
    take('code', 1);
  }
  return pieces;
}
