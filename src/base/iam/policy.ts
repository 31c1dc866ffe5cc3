/** Policies in IAM's JSON language, parsed, bounded and compiled (IAM User Guide, "Grammar of the IAM JSON policy language"). */
import { type Condition, parseConditions } from './conditions.ts';
import { isRecord, PolicyError, parseJson, quoted, readStrings } from './document.ts';
import { compilePieces, countColons, isVariable, outline, type Piece, parsePieces, type Reading, type TextTest } from './pattern.ts';
import { compileNotPrincipal, compilePrincipal, type PrincipalTest } from './principals.ts';

export { PolicyError } from './document.ts';

/** An identity is a user or a temporary credential; a resource's policy says as well who it is about. */
export type PolicyKind = 'identity' | 'resource';

/** A policy costs at most its own length times that of the request's texts. A resource's is as long as acm-pca's PutPolicy takes it. */
export const policyLimits = { charactersMax: { identity: 20_480, resource: 81_920 }, statementsMax: 400 } as const;

/** Compiled: nothing of it is read again when it is evaluated. */
export interface Policy {
  readonly statements: readonly Statement[];
  /** Whether it asks for a key of the request context that begins with this, in lower case: what is dear to look up need only be there for such a policy. */
  mentions(keyPrefix: string): boolean;
}

interface Statement {
  effect: 'Allow' | 'Deny';
  principal: PrincipalTest;
  /** Of the action in lower case. */
  action: TextTest;
  resource: TextTest;
  conditions: readonly Condition[];
}

const policyElements = ['Version', 'Id', 'Statement'];
const statementElements = [
  'Sid',
  'Effect',
  'Principal',
  'NotPrincipal',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Condition',
] as const;
type StatementElement = (typeof statementElements)[number];
type Elements = Readonly<Partial<Record<StatementElement, unknown>>>;

/** Throws PolicyError, and nothing else. */
export function parsePolicy(text: string, kind: PolicyKind): Policy {
  const charactersMax = policyLimits.charactersMax[kind];
  if (text.length > charactersMax) throw new PolicyError(`The policy has ${text.length} characters, more than ${charactersMax}.`);
  const document = parseJson(text);
  if (!isRecord(document)) throw new PolicyError('The policy must be a JSON object.');
  refuseOthers(document, policyElements, 'The policy');
  const { Version, Id, Statement } = document;
  if (Version !== undefined && Version !== '2012-10-17' && Version !== '2008-10-17') {
    throw new PolicyError('Version must be "2012-10-17" or "2008-10-17".');
  }
  if (Id !== undefined && typeof Id !== 'string') throw new PolicyError('Id must be a string.');
  const reading: Reading = { variables: Version === '2012-10-17', keys: new Set() };
  const statements = readStatements(Statement).map((statement, index) =>
    parseStatement(statement, kind, reading, `Statement ${index + 1}`),
  );
  const keys = [...reading.keys];
  return { statements, mentions: keyPrefix => keys.some(key => key.startsWith(keyPrefix)) };
}

function refuseOthers(object: Record<string, unknown>, names: readonly string[], where: string): void {
  const other = Object.keys(object).find(name => !names.includes(name));
  if (other !== undefined) throw new PolicyError(`${where} may have ${names.join(', ')}, but not ${quoted(other)}.`);
}

function readStatements(value: unknown): Elements[] {
  const statements: unknown[] = Array.isArray(value) ? value : [value];
  if (statements.length === 0 || !statements.every(isRecord)) {
    throw new PolicyError('Statement must be an object or a list of objects that is not empty.');
  }
  const { statementsMax } = policyLimits;
  if (statements.length > statementsMax) throw new PolicyError(`Statement has ${statements.length} objects, more than ${statementsMax}.`);
  const sids = new Set<unknown>();
  for (const [index, statement] of statements.entries()) {
    refuseOthers(statement, statementElements, `Statement ${index + 1}`);
    const { Sid } = statement;
    if (Sid === undefined || Sid === '') continue;
    if (sids.has(Sid)) throw new PolicyError(`Statement ${index + 1}: Sid is that of a statement before it.`);
    sids.add(Sid);
  }
  return statements;
}

function parseStatement(statement: Elements, kind: PolicyKind, reading: Reading, where: string): Statement {
  checkSid(statement.Sid, kind, where);
  const { Effect } = statement;
  if (Effect !== 'Allow' && Effect !== 'Deny') throw new PolicyError(`${where}: Effect must be Allow or Deny.`);
  return {
    effect: Effect,
    principal: parsePrincipal(statement, kind, where),
    action: parseAction(statement, where),
    resource: parseResource(statement, kind, reading, where),
    conditions: statement.Condition === undefined ? [] : parseConditions(statement.Condition, reading, where),
  };
}

/** IAM takes letters and digits, other services' policies also spaces and the like ("Notes about string values"). */
function checkSid(Sid: unknown, kind: PolicyKind, where: string): void {
  if (Sid === undefined) return;
  if (typeof Sid !== 'string') throw new PolicyError(`${where}: Sid must be a string.`);
  if (kind === 'identity' && !/^[A-Za-z\d]*$/.test(Sid)) throw new PolicyError(`${where}: Sid must be of letters and digits.`);
}

/** Which of an element and its opposite the statement has: exactly one. */
function choose<Name extends StatementElement>(statement: Elements, name: Name, opposite: Name, where: string): Name {
  const given = [name, opposite].filter(element => statement[element] !== undefined);
  const [only] = given;
  if (only === undefined || given.length > 1) throw new PolicyError(`${where} must have either ${name} or ${opposite}.`);
  return only;
}

function parsePrincipal(statement: Elements, kind: PolicyKind, where: string): PrincipalTest {
  if (kind === 'identity') {
    if (statement.Principal === undefined && statement.NotPrincipal === undefined) return () => true;
    throw new PolicyError(`${where} must not have Principal or NotPrincipal: the policy is about the identity that it is attached to.`);
  }
  if (choose(statement, 'Principal', 'NotPrincipal', where) === 'Principal')
    return compilePrincipal(statement.Principal, `${where}: Principal`);
  // With Allow it would admit everyone else on earth, and AWS does not support it ("NotPrincipal").
  if (statement.Effect !== 'Deny') throw new PolicyError(`${where}: NotPrincipal must be used with Deny.`);
  return compileNotPrincipal(statement.NotPrincipal, `${where}: NotPrincipal`);
}

/** "The prefix and the action name are case insensitive" ("Action"). */
function parseAction(statement: Elements, where: string): TextTest {
  const element = choose(statement, 'Action', 'NotAction', where);
  const literal: Reading = { variables: false, keys: new Set() };
  const tests = readStrings(statement[element], `${where}: ${element}`).map(text => {
    if (!/^(?:\*|(?:\*|[A-Za-z\d-]+):[\w*?-]+)$/.test(text)) {
      throw new PolicyError(`${where}: ${element} must be "*" or of the form service:action, not ${quoted(text)}.`);
    }
    return compilePieces(parsePieces(text.toLowerCase(), literal, true, where), 'text');
  });
  return anyOf(tests, element === 'NotAction');
}

/** One that holds a variable without a value matches no resource, in NotResource too ("Policy variables with no value"). */
function parseResource(statement: Elements, kind: PolicyKind, reading: Reading, where: string): TextTest {
  const element = choose(statement, 'Resource', 'NotResource', where);
  const tests = readStrings(statement[element], `${where}: ${element}`).map(text => {
    if (text === '*') return () => true;
    return compilePieces(parseArn(text, kind, reading, `${where}: ${element}`), 'resource');
  });
  return anyOf(tests, element === 'NotResource');
}

function parseArn(text: string, kind: PolicyKind, reading: Reading, where: string): Piece[] {
  if (!/^arn:[^:]+:[^:]+/.test(text)) throw new PolicyError(`${where} must be "*" or an ARN, not ${quoted(text)}.`);
  const pieces = parsePieces(text, reading, true, where);
  const variable = pieces.findIndex(isVariable);
  const colons = countColons(outline(variable === -1 ? pieces : pieces.slice(0, variable)));
  if (colons >= 5) return pieces;
  if (variable !== -1) throw new PolicyError(`${where} may have a policy variable only after the fifth colon of ${quoted(text)}.`);
  // Only in identity-based policies are the missing fields wildcards ("IAM ARNs"); a wildcard at the end is that already.
  if (kind === 'resource') throw new PolicyError(`${where} must be an ARN of six parts between colons, not ${quoted(text)}.`);
  return text.endsWith('*') ? pieces : [...pieces, ':', { wildcard: '*' }];
}

function anyOf(tests: readonly TextTest[], negated: boolean): TextTest {
  return (text, context) => tests.some(test => test(text, context)) !== negated;
}
