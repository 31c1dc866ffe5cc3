/** The same objects by implementations that are not ours, node-forge and pkijs: what they make our codec must read, and the reverse. */
import { createPublicKey, type KeyObject, webcrypto } from 'node:crypto';
import * as asn1js from 'asn1js';
import forge from 'node-forge';
import * as pkijs from 'pkijs';

export function forgePrivateKey(key: KeyObject): forge.pki.rsa.PrivateKey {
  return forge.pki.privateKeyFromPem(key.export({ format: 'pem', type: 'pkcs1' }).toString());
}

export function forgePublicKey(key: KeyObject): forge.pki.rsa.PublicKey {
  const { n, e } = forgePrivateKey(key);
  return forge.pki.setRsaPublicKey(n, e);
}

export function forgeDer(value: forge.asn1.Asn1): Buffer {
  return Buffer.from(forge.asn1.toDer(value).getBytes(), 'latin1');
}

export function forgeAsn1(encoded: Uint8Array): forge.asn1.Asn1 {
  return forge.asn1.fromDer(Buffer.from(encoded).toString('latin1'));
}

/** How WebCrypto names what a key signs with. */
export interface WebSignature {
  name: 'RSASSA-PKCS1-v1_5' | 'RSA-PSS' | 'ECDSA';
  hash: 'SHA-1' | 'SHA-256' | 'SHA-384' | 'SHA-512';
  namedCurve?: 'P-256' | 'P-384' | 'P-521';
}

export async function webKeyPair(
  key: KeyObject,
  algorithm: WebSignature,
): Promise<{ privateKey: webcrypto.CryptoKey; publicKey: webcrypto.CryptoKey }> {
  return {
    privateKey: await webcrypto.subtle.importKey('jwk', key.export({ format: 'jwk' }), algorithm, false, ['sign']),
    publicKey: await webcrypto.subtle.importKey('jwk', createPublicKey(key).export({ format: 'jwk' }), algorithm, true, ['verify']),
  };
}

export function pkijsName(
  attributes: readonly (readonly [type: string, value: asn1js.BaseStringBlock])[],
): pkijs.RelativeDistinguishedNames {
  return new pkijs.RelativeDistinguishedNames({
    typesAndValues: attributes.map(([type, value]) => new pkijs.AttributeTypeAndValue({ type, value })),
  });
}

export function asn1Of(encoded: Uint8Array): asn1js.AsnType {
  const { offset, result } = asn1js.fromBER(encoded);
  if (offset === -1) throw new Error('asn1js cannot read this');
  return result;
}

export const pkijsCertificate = (der: Uint8Array) => new pkijs.Certificate({ schema: asn1Of(der) });

/** A SignedData with signedAttrs around the content, in its ContentInfo. `attributes` stand beside contentType and messageDigest. */
export async function pkijsSignedData(options: {
  content: Uint8Array;
  certificate: Uint8Array;
  privateKey: webcrypto.CryptoKey;
  hash: WebSignature['hash'];
  attributes: readonly pkijs.Attribute[];
}): Promise<Buffer> {
  const certificate = pkijsCertificate(options.certificate);
  const messageDigest = await webcrypto.subtle.digest(options.hash, Uint8Array.from(options.content));
  const signedAttrs = [
    new pkijs.Attribute({ type: '1.2.840.113549.1.9.3', values: [new asn1js.ObjectIdentifier({ value: '1.2.840.113549.1.7.1' })] }),
    new pkijs.Attribute({ type: '1.2.840.113549.1.9.4', values: [new asn1js.OctetString({ valueHex: messageDigest })] }),
    ...options.attributes,
  ];
  const signedData = new pkijs.SignedData({
    encapContentInfo: new pkijs.EncapsulatedContentInfo({
      eContentType: '1.2.840.113549.1.7.1',
      eContent: new asn1js.OctetString({ valueHex: options.content }),
    }),
    signerInfos: [
      new pkijs.SignerInfo({
        sid: new pkijs.IssuerAndSerialNumber({ issuer: certificate.issuer, serialNumber: certificate.serialNumber }),
        signedAttrs: new pkijs.SignedAndUnsignedAttributes({ type: 0, attributes: signedAttrs }),
      }),
    ],
    certificates: [certificate],
  });
  await signedData.sign(options.privateKey, 0, options.hash);
  return pkijsContentInfo(pkijs.ContentInfo.SIGNED_DATA, signedData.toSchema(true));
}

export async function pkijsVerifies(signedData: Uint8Array): Promise<boolean> {
  const contentInfo = new pkijs.ContentInfo({ schema: asn1Of(signedData) });
  return new pkijs.SignedData({ schema: contentInfo.content }).verify({ signer: 0, checkChain: false });
}

/** An EnvelopedData with RSAES-OAEP, the only key transport that WebCrypto has. */
export async function pkijsEnvelopedData(
  content: Uint8Array,
  recipients: readonly Uint8Array[],
  hash: WebSignature['hash'],
  keyBits: 128 | 256,
): Promise<Buffer> {
  const enveloped = new pkijs.EnvelopedData();
  for (const recipient of recipients) enveloped.addRecipientByCertificate(pkijsCertificate(recipient), { oaepHashAlgorithm: hash });
  await enveloped.encrypt({ name: 'AES-CBC', length: keyBits }, Uint8Array.from(content).buffer);
  return pkijsContentInfo(pkijs.ContentInfo.ENVELOPED_DATA, enveloped.toSchema());
}

export async function pkijsDecrypts(envelopedData: Uint8Array, recipient: Uint8Array, key: KeyObject): Promise<Buffer> {
  const contentInfo = new pkijs.ContentInfo({ schema: asn1Of(envelopedData) });
  const enveloped = new pkijs.EnvelopedData({ schema: contentInfo.content });
  const recipientPrivateKey = key.export({ format: 'der', type: 'pkcs8' });
  const recipientCertificate = pkijsCertificate(recipient);
  return Buffer.from(
    await enveloped.decrypt(0, { recipientCertificate, recipientPrivateKey: Uint8Array.from(recipientPrivateKey).buffer }),
  );
}

function pkijsContentInfo(contentType: string, content: asn1js.AsnType): Buffer {
  return Buffer.from(new pkijs.ContentInfo({ contentType, content }).toSchema().toBER());
}
