/** Sends a vector to a world and reads the answer as the vector's device would, whose key is one of the world's. */
import assert from 'node:assert/strict';
import { createHash, verify } from 'node:crypto';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { Tag } from '../../src/base/pki/asn1.ts';
import { findOpening, type KeyPair, openContent, parseEnvelopedData } from '../../src/base/pki/enveloped-data.ts';
import { findExtension, parseBasicConstraints } from '../../src/base/pki/extensions.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { parseCertificationRequest } from '../../src/base/pki/pkcs10.ts';
import { findSignerCertificate, identifies, onlySigner, parseContentInfo, parseSignedData } from '../../src/base/pki/signed-data.ts';
import { type Certificate, verifyCertificateSignature } from '../../src/base/pki/x509.ts';
import { MessageType } from '../../src/base/scep.ts';
import { parseGetMessage, rawParameter } from '../../src/fronts/scep/get-message.ts';
import { type PkiMessage, parsePkiMessage } from '../../src/fronts/scep/pki-message.ts';
import { type CertRep, decodeCertRep } from './raw-scep-client.ts';
import type { Expectation, Vector } from './vector-file.ts';
import { identity, identityNames, identitySpecs } from './vector-identities.ts';
import { connectorPath, connectorSpecs } from './vector-store.ts';
import type { VectorWorld } from './vector-world.ts';

export interface VectorAnswer {
  statusCode: number;
  contentType: string | undefined;
  body: Uint8Array;
}

export async function sendVector(world: VectorWorld, vector: Vector): Promise<VectorAnswer> {
  if (vector.transport !== undefined) return sendRaw(await world.listen(), vector, vector.transport);
  const header = (name: string) => vector.headers.find(([key]) => key.toLowerCase() === name)?.[1];
  const { statusCode, headers, body } = await world.handle({
    method: vector.method,
    rawUrl: `${connectorPath(vector.connector)}${vector.target}`,
    body: vector.body,
    source: sourceOf(vector),
    hosts: [header('host') ?? 'scep.example.com'],
    userAgent: header('user-agent'),
  });
  return { statusCode, contentType: headers['content-type'], body };
}

/** An address of its own, so that what another vector did wrong is not held against it. */
function sourceOf({ name }: Vector): string {
  const [a, b] = createHash('sha256').update(name).digest();
  return `198.18.${a}.${b}`;
}

/** Over a connection of its own that carries nothing but what the vector says. */
async function sendRaw(url: string, vector: Vector, version: string): Promise<VectorAnswer> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const lines = [
    `${vector.method} ${connectorPath(vector.connector)}${vector.target} ${version}`,
    ...vector.headers.map(line => line.join(': ')),
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  socket.write(vector.body);
  // What the server does not want to read it need not read, so only the answer counts.
  socket.on('error', () => {});
  const answer = await buffer(socket);
  const end = answer.indexOf('\r\n\r\n');
  const head = answer.subarray(0, end).toString('latin1');
  const [, statusCode] = /^HTTP\/1\.1 (\d{3}) /.exec(head) ?? [];
  const [, contentType] = /^content-type: (.*)$/im.exec(head.replaceAll('\r', '')) ?? [];
  return { statusCode: Number(statusCode), contentType, body: answer.subarray(end + 4) };
}

/** The answer as text, with `\n` for every end of a line. */
export function textOf({ body }: VectorAnswer): string {
  return Buffer.from(body).toString().replaceAll('\n', '\\n');
}

/** Holds a CertRep against the request and what is expected. Returns the certificate that SUCCESS brings. */
export function checkCertRep(answer: VectorAnswer, vector: Vector, expected: Expectation): Uint8Array | undefined {
  assert.equal(answer.statusCode, 200, textOf(answer));
  assert.equal(answer.contentType, 'application/x-pki-message');
  const request = requestOf(vector);
  const ra = answeringRa(vector, answer.body);
  const certRep = decodeCertRep(answer.body, ra.certificate, deviceOf(request));
  const { pkiStatus, failInfo, failInfoText, transactionID, recipientNonce, senderNonce, eContent, certificates } = certRep;
  assert.deepEqual({ pkiStatus, ...(failInfo && { failInfo }) }, expected, failInfoText);
  assert.equal(failInfoText, pkiStatus === 'FAILURE' ? (vector.reason ?? failInfoText) : undefined);
  assert.deepEqual({ transactionID, recipientNonce }, { transactionID: request.transactionID, recipientNonce: request.senderNonce });
  assert.equal(senderNonce.length, 16);
  if (pkiStatus !== 'SUCCESS') assert.equal(eContent?.length, 0, 'certmonger takes an absent eContent for an unreachable server');
  if (pkiStatus === 'SUCCESS') checkContent(certRep, vector, request);
  return certificates[0]?.der;
}

/** Whatever a CSR asks for. */
const extensionsOfDevices = new Set<string>([
  Oid.basicConstraints,
  Oid.keyUsage,
  Oid.extKeyUsage,
  Oid.subjectAltName,
  Oid.subjectKeyIdentifier,
  Oid.authorityKeyIdentifier,
]);

/** What SUCCESS brings, by what was asked for. */
function checkContent(certRep: CertRep, vector: Vector, request: PkiMessage): void {
  if (request.messageType === MessageType.GetCRL) return checkRevocationList(certRep, deviceOf(request));
  const [certificate, second] = certRep.certificates;
  assert.ok(certificate && !second, 'not exactly one certificate');
  if (request.messageType === MessageType.GetCert) assert.ok(certificate.publicKey.equals(deviceOf(request).certificate.publicKey));
  if (isEnrolment(vector)) checkIssued(certificate, request, connectorSpecs[vector.connector].raKeys.map(identity));
}

/** The authority's, and nothing beside it. */
function checkRevocationList({ certificates, eContent = Buffer.alloc(0) }: CertRep, device: KeyPair): void {
  assert.equal(certificates.length, 0);
  const { content } = openContent(findOpening(parseEnvelopedData(eContent), [device]));
  const fields = parseContentInfo(content, Oid.signedData).elements('SignedData');
  const [list, second] = fields.find(({ tag }) => tag === Tag.context(1))?.elements('crls') ?? [];
  assert.ok(list && !second, 'not exactly one revocation list');
  const [tbsCertList, , signature] = list.elements('CertificateList');
  assert.ok(tbsCertList && signature);
  assert.ok(verify('sha256', tbsCertList.bytes, identity('ca').certificate.publicKey.keyObject, signature.bitStringOctets()));
}

/** For the key of the CSR, and with nothing in it that a device must not have. */
function checkIssued(certificate: Certificate, request: PkiMessage, raKeys: readonly KeyPair[]): void {
  const opening = findOpening(parseEnvelopedData(request.signedData.eContent ?? Buffer.alloc(0)), raKeys);
  const csr = parseCertificationRequest(openContent(opening).content);
  assert.ok(certificate.publicKey.equals(csr.publicKey), 'the certificate is for another key');
  assert.deepEqual(certificate.subject.der, csr.subject.der);
  assert.deepEqual(certificate.issuer.der, identity('ca').certificate.subject.der);
  verifyCertificateSignature(certificate, identity('ca').certificate);
  const unexpected = certificate.extensions.filter(({ oid }) => !extensionsOfDevices.has(oid)).map(({ oid }) => oid);
  assert.deepEqual(unexpected, [], 'the certificate has extensions that no device is given');
  const basicConstraints = findExtension(certificate.extensions, Oid.basicConstraints);
  assert.ok(basicConstraints === undefined || !parseBasicConstraints(basicConstraints).cA, 'the certificate is a CA’s');
}

export function messageTypeOf(vector: Vector): string | undefined {
  return requestOf(vector).messageType;
}

/** Not a question about what is there already. */
export function isEnrolment(vector: Vector): boolean {
  const messageType = messageTypeOf(vector);
  return messageType === MessageType.PKCSReq || messageType === MessageType.RenewalReq;
}

function requestOf({ method, target, body }: Vector): PkiMessage {
  const rawQuery = target.slice(target.indexOf('?') + 1);
  return parsePkiMessage(method === 'POST' ? body : parseGetMessage(rawParameter(rawQuery, 'message') ?? ''));
}

/** The connector's RA that has signed, of those that may. */
function answeringRa({ connector }: Vector, body: Uint8Array): KeyPair {
  const { sid } = onlySigner(parseSignedData(body));
  const signing = connectorSpecs[connector].raKeys.filter(name => identitySpecs[name].role !== 'RA that decrypts');
  const ra = signing.map(identity).find(({ certificate }) => identifies(sid, certificate));
  assert.ok(ra, 'the answer is not signed by an RA of the connector');
  return ra;
}

/** The request's signer, by whose key the answer is opened; any where the signer is no one that the world knows, for a refusal is not encrypted. */
function deviceOf({ signedData, signerInfo }: PkiMessage): KeyPair {
  const signer = (): Certificate => findSignerCertificate(signerInfo, signedData.certificates);
  const known = identityNames.map(identity);
  try {
    const certificate = signer();
    const holder = known.find(({ certificate: own }) => own.publicKey.equals(certificate.publicKey));
    return holder === undefined ? identity('device') : { certificate, privateKey: holder.privateKey };
  } catch {
    return identity('device');
  }
}
