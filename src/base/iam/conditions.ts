/** The Condition element: its operators, and how several keys and values go together (IAM User Guide, "Condition operators", "Conditions with multiple keys or values"). */
import { isInNetwork, type Network, parseAddress, parseNetwork } from '../ip-networks.ts';
import { parseBinary, parseBoolean, parseDate, parseNumber } from './condition-values.ts';
import { isRecord, PolicyError, quoted } from './document.ts';
import { compilePieces, isVariable, outline, parsePieces, type Reading, type RequestContext, type TextTest } from './pattern.ts';

export type Condition = (context: RequestContext) => boolean;

/** One value of the policy: whether a value of the request is that, more than that, in that. */
type ValueCompiler = (stated: string, reading: Reading, where: string) => TextTest;

interface Operator {
  compile: ValueCompiler;
  negated: boolean;
}

const affirmed = (compile: ValueCompiler): Operator => ({ compile, negated: false });
const negated = (compile: ValueCompiler): Operator => ({ compile, negated: true });

const exactText: ValueCompiler = (stated, reading, where) => compilePieces(parsePieces(stated, reading, false, where), 'text');
const textOfAnyCase: ValueCompiler = (stated, reading, where) => compilePieces(parsePieces(stated, reading, false, where), 'text', true);
const textLike: ValueCompiler = (stated, reading, where) => compilePieces(parsePieces(stated, reading, true, where), 'text');

const arnLike: ValueCompiler = (stated, reading, where) => {
  const pieces = parsePieces(stated, reading, true, where);
  if (!pieces.some(isVariable) && !/^arn:(?:[^:]*:){4}/.test(outline(pieces))) {
    throw new PolicyError(`${where} must be an ARN, which begins with arn: and has six parts between colons, not ${quoted(stated)}.`);
  }
  return compilePieces(pieces, 'arn');
};

/** The values of the request that cannot be read as what is compared match nothing. */
function comparing<Value>(
  what: string,
  parse: (text: string) => Value | undefined,
  holds: (requested: Value, stated: Value) => boolean,
): ValueCompiler {
  return (text, _reading, where) => {
    const stated = readStated(text, parse, what, where);
    return value => {
      const requested = parse(value);
      return requested !== undefined && holds(requested, stated);
    };
  };
}

function readStated<Value>(text: string, parse: (text: string) => Value | undefined, what: string, where: string): Value {
  const stated = parse(text);
  if (stated === undefined) throw new PolicyError(`${where} must be ${what}, not ${quoted(text)}.`);
  return stated;
}

const equal = <Value>(requested: Value, stated: Value) => requested === stated;
const comparingNumbers = (holds: (requested: number, stated: number) => boolean) => comparing('a number', parseNumber, holds);
const comparingDates = (holds: (requested: number, stated: number) => boolean) =>
  comparing('a date such as 2030-01-31 or 2030-01-31T12:00:00Z, or seconds since 1970', parseDate, holds);

const inNetwork: ValueCompiler = (text, _reading, where) => {
  const network: Network = readStated(text, parseNetwork, 'an IP address or a network such as 192.0.2.0/24 or 2001:db8::/32', where);
  return value => {
    const address = parseAddress(value);
    return address !== undefined && isInNetwork(address, network);
  };
};

const operators: ReadonlyMap<string, Operator> = new Map([
  ['StringEquals', affirmed(exactText)],
  ['StringNotEquals', negated(exactText)],
  ['StringEqualsIgnoreCase', affirmed(textOfAnyCase)],
  ['StringNotEqualsIgnoreCase', negated(textOfAnyCase)],
  ['StringLike', affirmed(textLike)],
  ['StringNotLike', negated(textLike)],
  // "The ArnEquals and ArnLike condition operators behave identically."
  ['ArnEquals', affirmed(arnLike)],
  ['ArnLike', affirmed(arnLike)],
  ['ArnNotEquals', negated(arnLike)],
  ['ArnNotLike', negated(arnLike)],
  ['NumericEquals', affirmed(comparingNumbers(equal))],
  ['NumericNotEquals', negated(comparingNumbers(equal))],
  ['NumericLessThan', affirmed(comparingNumbers((requested, stated) => requested < stated))],
  ['NumericLessThanEquals', affirmed(comparingNumbers((requested, stated) => requested <= stated))],
  ['NumericGreaterThan', affirmed(comparingNumbers((requested, stated) => requested > stated))],
  ['NumericGreaterThanEquals', affirmed(comparingNumbers((requested, stated) => requested >= stated))],
  ['DateEquals', affirmed(comparingDates(equal))],
  ['DateNotEquals', negated(comparingDates(equal))],
  ['DateLessThan', affirmed(comparingDates((requested, stated) => requested < stated))],
  ['DateLessThanEquals', affirmed(comparingDates((requested, stated) => requested <= stated))],
  ['DateGreaterThan', affirmed(comparingDates((requested, stated) => requested > stated))],
  ['DateGreaterThanEquals', affirmed(comparingDates((requested, stated) => requested >= stated))],
  ['Bool', affirmed(comparing('true or false', parseBoolean, equal))],
  ['BinaryEquals', affirmed(comparing('base64', parseBinary, equal))],
  ['IpAddress', affirmed(inNetwork)],
  ['NotIpAddress', negated(inNetwork)],
]);

/** All of them must hold. */
export function parseConditions(value: unknown, reading: Reading, statement: string): Condition[] {
  const where = `${statement}: Condition`;
  if (!isRecord(value)) throw new PolicyError(`${where} must be an object of operators.`);
  return Object.entries(value).flatMap(([operator, block]) => {
    if (!isRecord(block) || Object.keys(block).length === 0) {
      throw new PolicyError(`${where} ${quoted(operator)} must be an object of keys that is not empty.`);
    }
    const seen = new Set<string>();
    return Object.entries(block).map(([name, values]) => {
      const key = readKey(name, `${where} ${quoted(operator)}`);
      // Two spellings are one key (IAM Access Analyzer, "Duplicate keys with different case").
      if (seen.has(key)) throw new PolicyError(`${where} ${quoted(operator)} has the key ${quoted(name)} twice.`);
      seen.add(key);
      reading.keys.add(key);
      return compileCondition(operator, key, readValues(values, `${where} ${quoted(operator)} ${quoted(name)}`), reading, statement);
    });
  });
}

/** Names of keys are not case-sensitive ("Condition"). */
function readKey(name: string, where: string): string {
  if (!/^[\w.-]+:./s.test(name)) throw new PolicyError(`${where} has the key ${quoted(name)}, which must be of the form service:key.`);
  return name.toLowerCase();
}

/** "Quotation marks are optional for numeric and Boolean values" ("Grammar of the IAM JSON policy language"). */
function readValues(value: unknown, where: string): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) throw new PolicyError(`${where} must have a value.`);
  return values.map(item => {
    if (typeof item !== 'string' && typeof item !== 'number' && typeof item !== 'boolean') {
      throw new PolicyError(`${where} must be a string, a number, true or false, or a list of them.`);
    }
    return String(item);
  });
}

function compileCondition(name: string, key: string, stated: readonly string[], reading: Reading, statement: string): Condition {
  const where = `${statement}: Condition ${quoted(name)} ${quoted(key)}`;
  if (name === 'Null') return compileNull(key, stated, where);
  const [, set, base = '', ifExists] = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/.exec(name) ?? [];
  const operator = operators.get(base);
  if (operator === undefined) throw new PolicyError(`${statement}: Condition has an operator that does not exist, ${quoted(name)}.`);
  const tests = stated.map(text => operator.compile(text, reading, where));
  const matches = (value: string, context: RequestContext) => tests.some(test => test(value, context));
  // Several values are alternatives, and none of them may match where the operator is negated.
  const holds: TextTest = operator.negated ? (value, context) => !matches(value, context) : matches;
  const combine = set === 'ForAnyValue' || (set === undefined && !operator.negated) ? 'some' : 'every';
  const ifAbsent = ifExists !== undefined || set === 'ForAllValues' || (set === undefined && operator.negated);
  return context => {
    const values = context.get(key) ?? [];
    if (values.length === 0) return ifAbsent;
    // "… or if the key values resolve to a null data set, such as an empty string" ("Conditions with multiple keys or values").
    if (set !== undefined && values.every(value => value === '')) return set === 'ForAllValues';
    return values[combine](value => holds(value, context));
  };
}

/** `true`: the key is absent; `false`: it is there. */
function compileNull(key: string, stated: readonly string[], where: string): Condition {
  const wanted = stated.map(text => readStated(text, parseBoolean, 'true or false', where));
  return context => wanted.includes((context.get(key) ?? []).length === 0);
}
