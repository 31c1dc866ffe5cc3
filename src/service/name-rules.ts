/** Which names a certificate may carry: the rules of an enrolment policy and the bounds of a dynamic challenge, pure. Patterns know `*` and `?`, whatever the case. */
import { compileWildcards } from '../base/iam/pattern.ts';
import type { GeneralName } from '../base/pki/extensions.ts';
import { findAttributeType, formatAttribute, type Name, parseNameString } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { PkiError } from '../base/pki/pki-error.ts';

export const nameRuleLimits = { patternCharactersMax: 256, patternsMax: 100, subjectPatternCharactersMax: 1024 } as const;

/** The kinds of alternative names as rules write them. A GeneralName of another kind is never given. */
const kinds = ['DNS', 'email', 'URI', 'IP', 'DN', 'RID', 'UPN'] as const;
export type SubjectAltNameKind = (typeof kinds)[number];

const kindByType: Partial<Record<GeneralName['type'], SubjectAltNameKind>> = {
  dNSName: 'DNS',
  rfc822Name: 'email',
  uniformResourceIdentifier: 'URI',
  iPAddress: 'IP',
  directoryName: 'DN',
  registeredID: 'RID',
};

export interface NameRule {
  /** The OID of an attribute type or the kind of an alternative name; undefined for any. */
  of: string | undefined;
  matches(value: string): boolean;
}

/** `TYPE=pattern`, or `*` for anything. Undefined when the text is neither. */
export function parseSubjectRule(text: string): NameRule | undefined {
  if (text === '*') return { of: undefined, matches: () => true };
  const equals = text.indexOf('=');
  const type = equals < 1 ? undefined : findAttributeType(text.slice(0, equals).trim());
  return type === undefined ? undefined : { of: type, matches: compileWildcards(text.slice(equals + 1).trim()) };
}

/** `TYPE:pattern`, such as `DNS:*.example.com`. Undefined when the text is not one. */
export function parseSubjectAltNameRule(text: string): NameRule | undefined {
  const colon = text.indexOf(':');
  const kind = colon < 1 ? undefined : findSubjectAltNameKind(text.slice(0, colon));
  return kind && { of: kind, matches: compileWildcards(text.slice(colon + 1)) };
}

export function findSubjectAltNameKind(text: string): SubjectAltNameKind | undefined {
  return kinds.find(kind => kind.toLowerCase() === text.toLowerCase());
}

export function kindOf(name: GeneralName): SubjectAltNameKind | undefined {
  return name.otherNameOid === Oid.userPrincipalName ? 'UPN' : kindByType[name.type];
}

function isAllowed(rules: readonly NameRule[], of: string | undefined, value: string): boolean {
  return rules.some(rule => (rule.of === undefined || rule.of === of) && rule.matches(value));
}

/** The first attribute, as text, that no rule allows. */
export function findRefusedAttribute(subject: Name, rules: readonly NameRule[]): string | undefined {
  const refused = subject.rdns.flat().find(({ type, value }) => !isAllowed(rules, type, value));
  return refused && formatAttribute(refused);
}

/** The first alternative name, as text, that no rule allows. */
export function findRefusedSubjectAltName(names: readonly GeneralName[], rules: readonly NameRule[]): string | undefined {
  const refused = names.find(name => kindOf(name) === undefined || !isAllowed(rules, kindOf(name), name.value));
  return refused && formatSubjectAltName(refused);
}

/** In the form of a rule, such as DNS:a.example.com. */
export function formatSubjectAltName(name: GeneralName): string {
  return `${kindOf(name) ?? name.otherNameOid ?? name.type}:${name.value}`;
}

/** The attributes of a distinguished name in RFC 4514 text whose values are patterns. Undefined when the text is not one. */
export function parseSubjectPattern(text: string): readonly NameRule[] | undefined {
  try {
    return parseNameString(text)
      .rdns.flat()
      .map(({ type, value }) => ({ of: type, matches: compileWildcards(value) }));
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}

/** Whether the subject has just these attributes, in whichever order: each attribute is like a rule of its own. */
export function matchesSubjectPattern(subject: Name, rules: readonly NameRule[]): boolean {
  const attributes = subject.rdns.flat();
  if (attributes.length !== rules.length) return false;
  const candidates = attributes.map(({ type, value }) => rules.filter(rule => rule.of === type && rule.matches(value)));
  return canPair(candidates);
}

/** Whether there is a different rule for each list of candidates: by augmenting paths (Kuhn), since the first that fits may be another's only one. */
function canPair(candidates: readonly (readonly NameRule[])[]): boolean {
  const takenBy = new Map<NameRule, number>();
  const place = (index: number, tried: Set<NameRule>): boolean => {
    for (const rule of candidates[index] ?? []) {
      if (tried.has(rule)) continue;
      tried.add(rule);
      const holder = takenBy.get(rule);
      if (holder !== undefined && !place(holder, tried)) continue;
      takenBy.set(rule, index);
      return true;
    }
    return false;
  };
  return candidates.every((_, index) => place(index, new Set()));
}
