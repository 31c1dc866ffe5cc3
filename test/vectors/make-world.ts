/** Makes the keys and certificates in test/vectors/world that are not there yet; those that are stay as they are, for vectors are made for them. */
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { createSigner } from '../../src/base/pki/algorithms.ts';
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  type Extension,
  extKeyUsageExtension,
  KeyUsage,
  keyUsageExtension,
  subjectKeyIdentifierExtension,
} from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { publicKeyOf } from '../../src/base/pki/public-key.ts';
import { createCertificate } from '../../src/base/pki/x509.ts';
import {
  type IdentityName,
  type IdentitySpec,
  identity,
  identityFile,
  identityNames,
  identitySpecs,
} from '../support/vector-identities.ts';

const worldValidity = { notBefore: Date.UTC(2026, 0, 1), notAfter: Date.UTC(2046, 0, 1) } as const;

for (const name of identityNames) {
  if (existsSync(identityFile(name))) continue;
  writeFileSync(identityFile(name), makeIdentity(name, identitySpecs[name]));
  console.log(`made ${name}`);
}

function makeIdentity(name: IdentityName, spec: IdentitySpec): string {
  const key = spec.key === undefined ? makeKey(spec) : identity(spec.key).privateKey;
  const subject = parseNameString(spec.subject).der;
  const issuer = spec.issuer === undefined ? undefined : identity(spec.issuer);
  const template = {
    serialNumber: createHash('sha256').update(name).digest('hex').slice(0, 32).replace(/^./, '4'),
    issuer: issuer?.certificate.subject.der ?? subject,
    subject,
    subjectPublicKeyInfo: publicKeyOf(key).spki,
    notBefore: spec.notBefore ?? worldValidity.notBefore,
    notAfter: spec.notAfter ?? worldValidity.notAfter,
    extensions: [
      ...extensionsOf(spec, key),
      ...(issuer ? [authorityKeyIdentifierExtension(issuer.certificate.publicKey.keyIdentifier)] : []),
    ],
  };
  const certificate = createCertificate(template, createSigner(issuer?.privateKey ?? key));
  return `${key.export({ format: 'pem', type: 'pkcs8' }).toString()}${encodePem('CERTIFICATE', certificate)}`;
}

function makeKey({ bits = 2048 }: IdentitySpec): KeyObject {
  if (bits === 'P-256') return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
  return generateKeyPairSync('rsa', { modulusLength: bits }).privateKey;
}

function extensionsOf({ role }: IdentitySpec, key: KeyObject): Extension[] {
  const keyIdentifier = subjectKeyIdentifierExtension(publicKeyOf(key).keyIdentifier);
  const usage = keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment]);
  switch (role) {
    case 'CA':
      return [
        basicConstraintsExtension(true),
        keyIdentifier,
        keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyCertSign, KeyUsage.cRLSign]),
      ];
    case 'RA':
      return [usage, keyIdentifier];
    case 'RA that signs':
      return [keyUsageExtension([KeyUsage.digitalSignature]), keyIdentifier];
    case 'RA that decrypts':
      return [keyUsageExtension([KeyUsage.keyEncipherment]), keyIdentifier];
    case 'device':
      return [usage, extKeyUsageExtension([Oid.clientAuth]), keyIdentifier];
    default:
      return role satisfies never;
  }
}
