/** What must hold of every answer of the enrolment endpoint, whatever the request was; and what must hold of the store after a refusal. */
import { Tag } from '../../src/base/pki/asn1.ts';
import { objectIdentifier } from '../../src/base/pki/der.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import {
  findSignerCertificate,
  onlySigner,
  parseSignedData,
  type SignedData,
  type SignerInfo,
  verifySignerInfo,
} from '../../src/base/pki/signed-data.ts';
import { readText } from '../../src/base/pki/strings-and-times.ts';
import { FailInfo } from '../../src/base/scep.ts';
import type { ScepResponse } from '../../src/fronts/scep/answers.ts';
import { laxPolicy } from '../support/pki-fixtures.ts';
import { identity } from '../support/vector-identities.ts';
import { connectorSpecs } from '../support/vector-store.ts';
import { attributeValues, type BerNode, octetsOf, parseTree } from './ber-tree.ts';
import { messagesIn } from './scep-http.ts';
import type { ScepInput } from './scep-inputs.ts';

/** 413 and 431 come from the listener. */
const statusCodes = new Set([200, 400, 404, 405, 413, 429, 431]);

export interface Judged {
  input: ScepInput;
  response: ScepResponse;
  /** Rows written since the request came. */
  changes: readonly string[];
}

/** A CertRep as far as it can be read without a device's key. */
export interface CertRepRead {
  /** SUCCESS, PENDING, or FAILURE and its failInfo. */
  ending: string;
  signedData: SignedData;
  /** What the request may have said of itself: more than one where it says it more than once. */
  transactionID: string;
  messageTypes: readonly string[];
}

export interface Verdict {
  /** Each in a few words, without what differs from request to request. */
  problems: string[];
  ending: string;
  certRep?: CertRepRead;
}

export function judge({ input, response, changes }: Judged): Verdict {
  const { statusCode, headers, body } = response;
  const problems: string[] = [];
  const isOutage = statusCode === 503 && input.connector === 'creating';
  if (!statusCodes.has(statusCode) && !isOutage) problems.push(`status ${statusCode}`);
  const type = Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type')?.[1];
  if (type === undefined || type.includes(';')) problems.push(`content type ${type}`);
  if (body.length === 0) problems.push('an empty answer');
  if (statusCode === 200 && type === 'application/x-pki-message') {
    const { certRep, problems: wrongs } = readCertRep(input, body);
    problems.push(...wrongs);
    if (certRep === undefined) return { problems, ending: 'no CertRep' };
    if (certRep.ending.startsWith('FAILURE')) problems.push(...problemsOfChanges('FAILURE', changes));
    return { problems, ending: certRep.ending, certRep };
  }
  problems.push(...problemsOfChanges(`status ${statusCode}`, changes));
  return { problems, ending: String(statusCode) };
}

function problemsOfChanges(what: string, changes: readonly string[]): string[] {
  return [...new Set(changes)].map(change => `${what}, and yet: ${change}`);
}

function readCertRep(input: ScepInput, body: Uint8Array): { certRep?: CertRepRead; problems: string[] } {
  let signedData: SignedData;
  let signerInfo: SignerInfo;
  try {
    signedData = parseSignedData(body);
    signerInfo = onlySigner(signedData);
    const ras = connectorSpecs[input.connector].raKeys.map(name => identity(name).certificate);
    verifySignerInfo(signedData, signerInfo, findSignerCertificate(signerInfo, ras), laxPolicy);
  } catch (error) {
    return { problems: [`an answer that is no CertRep of the RA: ${error instanceof Error ? error.message : 'unknown'}`] };
  }
  const value = (type: string) => {
    const [element, second] = signerInfo.attributes.get(type) ?? [];
    if (element === undefined || second !== undefined) return undefined;
    return element.tag === Tag.octetString ? element.octets().toString('hex') : readText(element);
  };
  const requests = messagesIn(input.form).flatMap(message => signedAttrsIn(parseTree(message)) ?? []);
  const said = (type: string) => requests.flatMap(signedAttrs => attributeValues(signedAttrs, objectIdentifier(type).subarray(2)));
  const transactionID = value(Oid.transactionID);
  const pkiStatus = value(Oid.pkiStatus);
  const problems: string[] = [];
  if (value(Oid.messageType) !== '3') problems.push('messageType is not CertRep');
  if (transactionID === undefined || !said(Oid.transactionID).flatMap(textsOf).includes(transactionID))
    problems.push('transactionID is not echoed');
  problems.push(...problemsOfNonce(value(Oid.recipientNonce), said(Oid.senderNonce)));
  if ((value(Oid.senderNonce)?.length ?? 0) < 32) problems.push('no senderNonce of its own');
  if (pkiStatus !== '0' && signedData.eContent?.length !== 0) problems.push('content in a CertRep that is no SUCCESS');
  const ending = endingOf(pkiStatus, value(Oid.failInfo));
  if (ending === undefined || transactionID === undefined)
    return { problems: [...problems, `pkiStatus ${pkiStatus} with failInfo ${value(Oid.failInfo)}`] };
  const messageTypes = said(Oid.messageType)
    .flatMap(textsOf)
    .filter(text => /^\d+$/.test(text));
  return { certRep: { ending, signedData, transactionID, messageTypes }, problems };
}

function endingOf(pkiStatus: string | undefined, failInfo: string | undefined): string | undefined {
  if (pkiStatus === '2') return Object.entries(FailInfo).flatMap(([name, code]) => (code === failInfo ? `FAILURE ${name}` : []))[0];
  if (failInfo !== undefined) return undefined;
  return pkiStatus === '0' ? 'SUCCESS' : pkiStatus === '3' ? 'PENDING' : undefined;
}

/** Where RFC 5652 section 5.3 has them: after version, sid and digestAlgorithm of the SignerInfo, which the last field of SignedData holds. */
function signedAttrsIn(contentInfo: BerNode | undefined): BerNode | undefined {
  const signerInfos = contentInfo?.children?.[1]?.children?.[0]?.children?.at(-1);
  return signerInfos?.children?.[0]?.children?.[3];
}

function problemsOfNonce(echoed: string | undefined, said: readonly BerNode[]): string[] {
  const nonces = said.map(node => octetsOf(node).toString('hex'));
  if (echoed === undefined) return nonces.length === 0 ? [] : ['recipientNonce is missing'];
  return nonces.includes(echoed) ? [] : ['recipientNonce is not the senderNonce'];
}

/** What a string may say, in whichever type it is. */
function textsOf(node: BerNode): string[] {
  const octets = octetsOf(node);
  const texts = [octets.toString('latin1'), octets.toString('utf8')];
  if (octets.length % 2 === 0) texts.push(Buffer.from(octets).swap16().toString('utf16le'));
  if (octets.length % 4 === 0) texts.push(Buffer.from(octets).swap32().toString('utf16le').replaceAll('\0', ''));
  return texts;
}

/** What a request may say that it is. */
export function transactionIDsIn(message: Uint8Array): string[] {
  const signedAttrs = signedAttrsIn(parseTree(message));
  return signedAttrs === undefined ? [] : attributeValues(signedAttrs, objectIdentifier(Oid.transactionID).subarray(2)).flatMap(textsOf);
}

/** Whether the CSR has the password as its challenge, in whichever string type. */
export function holdsChallenge(csr: Uint8Array, password: string): boolean {
  const root = parseTree(csr);
  return (
    root !== undefined &&
    attributeValues(root, objectIdentifier(Oid.challengePassword).subarray(2)).some(value => textsOf(value).includes(password))
  );
}
