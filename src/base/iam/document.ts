/** The JSON of a policy, read strictly: what a policy's author wrote twice, or in another type than the element has, is an error and not a guess. */

/** What is wrong with a policy and where, in one sentence for its author. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
}

export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const [, line, column] = /\(line (\d+) column (\d+)\)/.exec(String(cause)) ?? [];
    const place = line && column ? `: look at line ${line}, column ${column}` : '';
    throw new PolicyError(`The policy is not JSON${place}.`, { cause });
  }
  const repeated = findRepeatedKey(text);
  if (repeated !== undefined) throw new PolicyError(`The policy has the key ${quoted(repeated)} twice in one object.`);
  return value;
}

/** Of valid JSON, where a string that a colon follows is a key. JSON.parse keeps the last of several and says nothing. */
function findRepeatedKey(json: string): string | undefined {
  const open: Set<unknown>[] = [];
  for (const [token, text = '', colon] of json.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (colon !== undefined) {
      const name: unknown = JSON.parse(text);
      if (open.at(-1)?.has(name)) return String(name);
      open.at(-1)?.add(name);
    }
  }
  return undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One string, or a list of them that is not empty. */
export function readStrings(value: unknown, where: string): string[] {
  const texts: unknown[] = Array.isArray(value) ? value : [value];
  if (texts.length === 0 || !texts.every(text => typeof text === 'string')) {
    throw new PolicyError(`${where} must be a string or a list of strings that is not empty.`);
  }
  return texts;
}

/** A text of the author's, short and on one line. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 63)}…` : text);
}
