/** Asks a SCEP endpoint for what a device would ask and says in plain words what works and what does not. */
import { generateKeyPairSync } from 'node:crypto';
import { findExtension, KeyUsage, parseKeyUsage } from '../base/pki/extensions.ts';
import { formatName, parseNameString } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { PkiError } from '../base/pki/pki-error.ts';
import { type Certificate, fingerprint, isSelfIssued } from '../base/pki/x509.ts';
import type { System } from '../base/system.ts';
import { answerPolicy, createRequest } from './enroll.ts';
import { decodeCertRep, encodeRequest } from './pki-message.ts';
import { type CaCertificates, firstLine, type HttpAnswer, ScepClient, ScepClientError } from './scep-client.ts';

export interface Finding {
  outcome: 'works' | 'warning' | 'fails';
  text: string;
}

const soonExpiresMs = 30 * 86_400_000;
const capabilitiesBytesMax = 1024;

/** Every finding in the order of the questions; the first that fails for good ends the examination. */
export async function* examine(url: string, caFingerprint: string | undefined, system: System): AsyncGenerator<Finding> {
  try {
    const client = new ScepClient(url, caFingerprint);
    const ca = await client.getCaCert();
    yield* examineCaCertificates(ca, caFingerprint, system.now());
    const caps = await client.getCaCaps();
    yield* examineCapabilities(caps);
    yield* examineOperation(client, caps, ca, system);
  } catch (error) {
    if (!(error instanceof ScepClientError || error instanceof PkiError)) throw error;
    yield { outcome: 'fails', text: error.message };
  }
}

function* examineCapabilities(caps: ReadonlySet<string>): Generator<Finding> {
  const words = [...caps];
  yield { outcome: 'works', text: `GetCACaps answers: ${words.join(', ') || 'nothing'}.` };
  const standard = caps.has('SCEPStandard');
  const wanted = {
    AES: 'devices may fall back to triple or single DES',
    'SHA-256': 'devices may fall back to SHA-1',
    POSTPKIOperation: 'devices will use long GET URLs',
  };
  for (const [word, consequence] of Object.entries(wanted)) {
    if (!standard && !caps.has(word)) yield { outcome: 'warning', text: `GetCACaps does not list ${word}: ${consequence}.` };
  }
  if (words.join('\n').length > capabilitiesBytesMax)
    yield { outcome: 'warning', text: `GetCACaps is longer than ${capabilitiesBytesMax} bytes, which certmonger refuses.` };
}

function* examineCaCertificates(ca: CaCertificates, caFingerprint: string | undefined, now: number): Generator<Finding> {
  const { recipient, authorities, contentType, all } = ca;
  yield { outcome: 'works', text: `GetCACert brings ${all.length} certificate${all.length === 1 ? '' : 's'}.` };
  if (!/^application\/x-x509-ca-(ra-)?cert$/.test(contentType)) {
    yield {
      outcome: 'warning',
      text: `Its content type is "${contentType}"; certmonger and FortiGate take application/x-x509-ca-ra-cert without parameters only.`,
    };
  }
  for (const authority of authorities)
    yield { outcome: 'works', text: `CA ${formatName(authority.subject)}, SHA-256 ${fingerprint(authority.der)}.` };
  yield caFingerprint === undefined
    ? { outcome: 'warning', text: 'The CA was not compared with a known fingerprint: give --ca-fingerprint.' }
    : { outcome: 'works', text: 'The CA has the given fingerprint.' };
  if (!authorities.some(isSelfIssued))
    yield { outcome: 'warning', text: 'The self-signed root is not in the answer: strongSwan and certmonger need it.' };
  if (recipient.publicKey.kind !== 'RSA')
    yield { outcome: 'fails', text: 'The certificate to encrypt to has no RSA key: devices cannot send a request.' };
  if (!hasBothUsages(ca))
    yield {
      outcome: 'warning',
      text: 'The RA certificate lacks digitalSignature or keyEncipherment: Apple devices answer with error -67731.',
    };
  for (const certificate of all) yield* examineValidity(certificate, now);
}

/** In one RA certificate or in two. */
function hasBothUsages({ recipient, authorities, all }: CaCertificates): boolean {
  const others = all.filter(certificate => certificate !== recipient && !authorities.includes(certificate));
  return allows(recipient, 'keyEncipherment') && [recipient, ...others].some(certificate => allows(certificate, 'digitalSignature'));
}

function allows({ extensions }: Certificate, usage: keyof typeof KeyUsage): boolean {
  const extension = findExtension(extensions, Oid.keyUsage);
  return extension === undefined || parseKeyUsage(extension).has(KeyUsage[usage]);
}

function* examineValidity({ subject, notBefore, notAfter }: Certificate, now: number): Generator<Finding> {
  const name = formatName(subject);
  if (notAfter <= now || notBefore > now) yield { outcome: 'fails', text: `The certificate of ${name} is not valid now.` };
  else if (notAfter - soonExpiresMs <= now) yield { outcome: 'warning', text: `The certificate of ${name} expires within 30 days.` };
}

/** A request with a challenge that cannot be right: the proper answer is a signed refusal, and it shows that requests are read. */
async function* examineOperation(
  client: ScepClient,
  caps: ReadonlySet<string>,
  ca: CaCertificates,
  system: System,
): AsyncGenerator<Finding> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const subject = parseNameString('CN=scep-connector doctor').der;
  const challenge = `not a challenge: ${system.randomUUID()}`;
  const request = createRequest({ privateKey, subject, challenge, extensions: [], caps, recipient: ca.recipient }, system);
  const message = encodeRequest(request);
  const read = (answer: HttpAnswer) =>
    readAnswer(answer, () => decodeCertRep(answer.body, { ...request, caCertificates: ca.all, policy: answerPolicy }));
  yield read(await client.send('POST', 'PKIOperation', { body: message }));
  const byGet = read(await client.pkiOperationByGet(message));
  yield { ...byGet, text: `By GET: ${byGet.text}` };
}

function readAnswer({ statusCode, body }: HttpAnswer, decode: () => ReturnType<typeof decodeCertRep>): Finding {
  if (statusCode !== 200 && body[0] !== 0x30)
    return { outcome: 'fails', text: `PKIOperation is answered with HTTP ${statusCode}: ${firstLine(body)}` };
  const answer = decode();
  if (answer.pkiStatus === 'SUCCESS')
    return { outcome: 'fails', text: 'A request with a made-up challenge was given a certificate: anyone can enrol here.' };
  if (answer.pkiStatus === 'PENDING') return { outcome: 'warning', text: 'A request with a made-up challenge waits for approval.' };
  const text = `PKIOperation is read and a made-up challenge refused (${answer.failInfo}${answer.failInfoText ? `: ${answer.failInfoText}` : ''})`;
  if (answer.failInfo !== 'badRequest') return { outcome: 'warning', text: `${text}, though not with badRequest.` };
  return statusCode === 200
    ? { outcome: 'works', text: `${text}.` }
    : { outcome: 'warning', text: `${text}, but with HTTP ${statusCode}: strongSwan and jscep do not see the reason.` };
}
