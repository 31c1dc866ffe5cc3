/** Texts of a policy with their wildcards and policy variables (IAM User Guide, "Resource", "Condition operators" and "Variables and tags"). */
import { PolicyError, quoted } from './document.ts';

/** What is known of a request: keys in lower case, an absent key absent, several values for a multivalued key. */
export type RequestContext = ReadonlyMap<string, readonly string[]>;

/** Whether a text of the request is what the policy says. */
export type TextTest = (text: string, context: RequestContext) => boolean;

interface Wildcard {
  wildcard: '*' | '?';
}
interface Variable {
  variable: string;
  fallback: string | undefined;
}
/** A string stands for itself. */
export type Piece = string | Wildcard | Variable;

/**
 * How far wildcards reach: over any character in a `text`; in an `arn`, whose first five parts are each checked separately, within a part ("ARN condition
 * operators"); in a `resource` likewise, but a `*` that ends a part reaches over colons ("Resource", "Using wildcards in resource ARNs").
 */
export type Reach = 'text' | 'arn' | 'resource';

/** What holds for a whole policy while it is read. */
export interface Reading {
  /** Whether its version has policy variables: in 2008-10-17 they are literal text. */
  variables: boolean;
  /** Every key of the request context that the policy asks for, in lower case. */
  keys: Set<string>;
}

export function parsePieces(text: string, { variables, keys }: Reading, wildcards: boolean, where: string): Piece[] {
  // Every second part is one of the delimiters.
  return text.split(variables ? /(\$\{[^}]*\}?|[*?])/ : /([*?])/).map((part, index) => {
    if (index % 2 === 0) return part;
    if (part === '*' || part === '?') return wildcards ? { wildcard: part } : part;
    const piece = parseVariable(part, where);
    if (isVariable(piece)) keys.add(piece.variable);
    return piece;
  });
}

/** `${*}`, `${?}` and `${$}` are the characters themselves. */
function parseVariable(text: string, where: string): string | Variable {
  const [found, character, key, fallback] = /^\$\{(?:([*?$])|([\w.-]+:[^{}$',]+)(?:, *'([^']*)')?)\}$/.exec(text) ?? [];
  if (found === undefined) throw new PolicyError(`${where} has a policy variable of another form than \${key}: ${quoted(text)}.`);
  return character ?? { variable: key?.toLowerCase() ?? '', fallback };
}

/** The literal text, with a `*` where another piece stands. */
export function outline(pieces: readonly Piece[]): string {
  return pieces.map(piece => (typeof piece === 'string' ? piece : '*')).join('');
}

export function countColons(text: string): number {
  return text.split(':').length - 1;
}

export function isVariable(piece: Piece): piece is Variable {
  return typeof piece === 'object' && 'variable' in piece;
}

/** Undefined when a variable has no value, or more than one. What a variable stands for is never a wildcard. */
function resolvePieces(pieces: readonly Piece[], context: RequestContext): (string | Wildcard)[] | undefined {
  const resolved: (string | Wildcard)[] = [];
  for (const piece of pieces) {
    const value = isVariable(piece) ? valueOf(piece, context) : piece;
    if (value === undefined) return undefined;
    resolved.push(value);
  }
  return resolved;
}

function valueOf({ variable, fallback }: Variable, context: RequestContext): string | undefined {
  const [value, second] = context.get(variable) ?? [];
  return value === undefined || second !== undefined ? fallback : value;
}

/** An equality where there are no wildcards. */
export function compilePieces(pieces: readonly Piece[], reach: Reach, ignoreCase = false): TextTest {
  const fold = (text: string) => (ignoreCase ? text.toLowerCase() : text);
  const patternIn = (context: RequestContext) => {
    const resolved = resolvePieces(pieces, context);
    return resolved && compilePattern(ignoreCase ? resolved.map(foldPiece) : resolved, reach);
  };
  if (pieces.some(isVariable)) {
    return (text, context) => {
      const pattern = patternIn(context);
      return pattern !== undefined && matchesPattern(pattern, fold(text));
    };
  }
  const pattern = patternIn(new Map());
  return text => pattern !== undefined && matchesPattern(pattern, fold(text));
}

/** A test of texts against one with `*` and `?`, whatever their case: outside of IAM, too, that is how names are given. */
export function compileWildcards(pattern: string): (text: string) => boolean {
  const test = compilePieces(parsePieces(pattern, { variables: false, keys: new Set() }, true, 'A pattern'), 'text', true);
  return text => test(text, new Map());
}

function foldPiece(piece: string | Wildcard): string | Wildcard {
  return typeof piece === 'string' ? piece.toLowerCase() : piece;
}

/** A token that is not negative is a character that stands for itself. */
const Token = { star: -1, one: -2, starInPart: -3, oneInPart: -4 } as const;
const colon = 0x3a;

interface Pattern {
  /** What stands before the first wildcard. */
  prefix: string;
  /** The rest. */
  tokens: readonly number[];
}

function compilePattern(pieces: readonly (string | Wildcard)[], reach: Reach): Pattern {
  // Splitting leaves empty texts between wildcards.
  const parts = pieces.filter(piece => piece !== '');
  let prefix = '';
  let colons = 0;
  const tokens: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (typeof part !== 'string') {
      const runsOn = reach === 'resource' && part.wildcard === '*' && endsPart(parts[index + 1]);
      tokens.push(wildcardToken(part, reach === 'text' || colons >= 5 || runsOn));
      continue;
    }
    colons += countColons(part);
    if (tokens.length === 0) prefix += part;
    else for (let at = 0; at < part.length; at += 1) tokens.push(part.charCodeAt(at));
  }
  return { prefix, tokens };
}

/** Of what follows a wildcard. */
function endsPart(next: string | Wildcard | undefined): boolean {
  return next === undefined || (typeof next === 'string' && next.startsWith(':'));
}

function wildcardToken({ wildcard }: Wildcard, overColons: boolean): number {
  if (wildcard === '*') return overColons ? Token.star : Token.starInPart;
  return overColons ? Token.one : Token.oneInPart;
}

/**
 * Follows every way in which the tokens may have matched so far, at most one for each token, so that no pattern costs more than its length times the
 * text's. A state is the number of tokens that are behind.
 */
function matchesPattern({ prefix, tokens }: Pattern, text: string): boolean {
  if (!text.startsWith(prefix)) return false;
  if (tokens.length === 0) return text.length === prefix.length;
  let states: number[] = [];
  let next: number[] = [];
  reachState(states, tokens, 0);
  for (let at = prefix.length; at < text.length && states.length > 0; at += 1) {
    // A star that ends the pattern takes whatever is left.
    if (states.at(-1) === tokens.length && tokens.at(-1) === Token.star) return true;
    next.length = 0;
    for (const state of states) {
      const token = tokens[state];
      if (token !== undefined && takes(token, text.charCodeAt(at))) reachState(next, tokens, isStar(token) ? state : state + 1);
    }
    [states, next] = [next, states];
  }
  return states.at(-1) === tokens.length;
}

/** And every state that is reached when the stars from there on take nothing. States ascend, which shows those that are there already. */
function reachState(states: number[], tokens: readonly number[], from: number): void {
  for (let state = from; ; state += 1) {
    if (state > (states.at(-1) ?? -1)) states.push(state);
    const token = tokens[state];
    if (token === undefined || !isStar(token)) return;
  }
}

function isStar(token: number): boolean {
  return token === Token.star || token === Token.starInPart;
}

function takes(token: number, character: number): boolean {
  if (token >= 0) return token === character;
  return token === Token.star || token === Token.one || character !== colon;
}
