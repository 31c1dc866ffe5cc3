/** Rules on names: patterns read, and held against subjects and alternative names. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { generalName, parseIpAddress, parseSubjectAltName, subjectAltNameExtension } from '../base/pki/extensions.ts';
import { parseNameString } from '../base/pki/name.ts';
import {
  findRefusedAttribute,
  findRefusedSubjectAltName,
  findSubjectAltNameKind,
  kindOf,
  matchesSubjectPattern,
  parseSubjectAltNameRule,
  parseSubjectPattern,
  parseSubjectRule,
} from './name-rules.ts';

const subjectRules = (...texts: string[]) => texts.flatMap(text => parseSubjectRule(text) ?? assert.fail(text));
const nameRules = (...texts: string[]) => texts.flatMap(text => parseSubjectAltNameRule(text) ?? assert.fail(text));
const namesOf = (...names: { der: Uint8Array }[]) => parseSubjectAltName(subjectAltNameExtension(names, false));

describe('a rule on subjects', () => {
  it('is TYPE=pattern or * alone', () => {
    for (const text of ['*', 'CN=*', 'cn=a', 'O = Example', '2.5.4.3=a', 'CN=', 'CN=a=b']) assert.ok(parseSubjectRule(text), text);
    for (const text of ['', 'CN', '=a', '**', 'XX=a', 'CN:a', ' =a', '2.5.x=a', '*=a'])
      assert.equal(parseSubjectRule(text), undefined, text);
  });

  it('allows the attribute that it describes, whatever the case', () => {
    const subject = parseNameString('CN=Printer-7,O=Example,OU=Berlin');
    assert.equal(findRefusedAttribute(subject, subjectRules('*')), undefined);
    assert.equal(findRefusedAttribute(subject, subjectRules('CN=printer-?', 'O=EXAMPLE', 'OU=B*n')), undefined);
    assert.equal(findRefusedAttribute(subject, subjectRules('CN=printer-?', 'OU=*')), 'O=Example');
    assert.equal(findRefusedAttribute(subject, subjectRules('CN=printer', 'O=*', 'OU=*')), 'CN=Printer-7');
    assert.equal(findRefusedAttribute(subject, subjectRules('CN=*', 'O=Berlin', 'OU=*')), 'O=Example');
    assert.ok(findRefusedAttribute(subject, []));
  });

  it('asks for every attribute of an RDN with several', () => {
    assert.equal(findRefusedAttribute(parseNameString('CN=a+UID=b,O=c'), subjectRules('CN=*', 'O=*')), 'UID=b');
  });
});

describe('a rule on alternative names', () => {
  it('is TYPE:pattern of a kind that devices have', () => {
    for (const text of ['DNS:*', 'dns:a', 'EMAIL:*@example.com', 'URI:urn:*', 'IP:10.*', 'DN:*', 'RID:1.2.*', 'upn:*', 'DNS:']) {
      assert.ok(parseSubjectAltNameRule(text), text);
    }
    for (const text of ['', '*', 'DNS', ':a', 'DNS=a', 'otherName:*', ' DNS:a', 'x400Address:*']) {
      assert.equal(parseSubjectAltNameRule(text), undefined, text);
    }
  });

  it('knows the kind of each name, and none of those that are never given', () => {
    const kinds = namesOf(
      generalName.dns('a'),
      generalName.email('a@b'),
      generalName.uri('urn:a'),
      generalName.ip(parseIpAddress('::1')),
      generalName.directory(parseNameString('CN=a')),
      generalName.registeredId('1.2.3'),
      generalName.userPrincipalName('a@b'),
      generalName.otherName('1.2.3', 'a'),
      generalName.ediParty('a'),
    ).map(kindOf);
    assert.deepEqual(kinds, ['DNS', 'email', 'URI', 'IP', 'DN', 'RID', 'UPN', undefined, undefined]);
    assert.equal(findSubjectAltNameKind('Email'), 'email');
    assert.equal(findSubjectAltNameKind('other'), undefined);
  });

  it('allows the name that it describes, of its own kind only', () => {
    const names = namesOf(generalName.dns('a.example.com'), generalName.userPrincipalName('a@example.com'));
    assert.equal(findRefusedSubjectAltName(names, nameRules('DNS:*.EXAMPLE.com', 'UPN:*@example.com')), undefined);
    assert.equal(findRefusedSubjectAltName(names, nameRules('DNS:*', 'email:*')), 'UPN:a@example.com');
    assert.equal(findRefusedSubjectAltName(names, nameRules('DNS:b.*', 'UPN:*')), 'DNS:a.example.com');
    assert.equal(findRefusedSubjectAltName(names, []), 'DNS:a.example.com');
    assert.equal(findRefusedSubjectAltName([], []), undefined);
  });

  it('never allows a name of a kind that no rule can name', () => {
    const every = nameRules('DNS:*', 'email:*', 'URI:*', 'IP:*', 'DN:*', 'RID:*', 'UPN:*');
    assert.match(findRefusedSubjectAltName(namesOf(generalName.otherName('1.2.3', 'a')), every) ?? '', /^1\.2\.3:/);
    assert.match(findRefusedSubjectAltName(namesOf(generalName.ediParty('a')), every) ?? '', /^ediPartyName:/);
  });
});

describe('a pattern of a whole subject', () => {
  const matches = (pattern: string, subject: string) =>
    matchesSubjectPattern(parseNameString(subject), parseSubjectPattern(pattern) ?? assert.fail(pattern));

  it('is a distinguished name', () => {
    for (const text of ['', 'CN', 'a', 'CN=a,', 'XX=a', '*', '=a']) assert.equal(parseSubjectPattern(text), undefined, text);
    for (const text of ['CN=*', 'CN=a\\,b', 'CN=a+UID=b, O=c']) assert.ok(parseSubjectPattern(text), text);
  });

  it('has each attribute of the subject once', () => {
    assert.ok(matches('O=b,CN=a', 'CN=a,O=b'));
    assert.ok(matches('CN=a\\,*', 'CN=a\\,b'));
    assert.ok(!matches('CN=a', 'CN=a,O=b'));
    assert.ok(!matches('CN=a,O=*', 'CN=a'));
    assert.ok(!matches('CN=*,O=a', 'CN=b,OU=a'));
  });

  it('gives each attribute a pattern of its own, also where the first that fits is another’s only one', () => {
    assert.ok(matches('OU=*,OU=a', 'OU=a,OU=b'));
    assert.ok(matches('OU=a*,OU=*b,OU=ab', 'OU=ab,OU=ac,OU=cb'));
    assert.ok(!matches('OU=x?,OU=xy,OU=z', 'OU=xy,OU=z,OU=z'));
    assert.ok(!matches('OU=a,OU=a', 'OU=a,OU=b'));
  });
});
