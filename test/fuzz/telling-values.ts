/** Content octets that tell readers apart: integers, object identifiers, times and texts at the edges of what they may be. */
import { objectIdentifier } from '../../src/base/pki/der.ts';
import { Oid } from '../../src/base/pki/oids.ts';

const hex = (digits: string) => Buffer.from(digits, 'hex');
const empty = Buffer.alloc(0);

/** Around the powers of two at which a reader may change its mind, not minimal ones, and none. */
export const integers: readonly Buffer[] = [
  ...'00 01 02 03 04 7f 80 ff 0080 00ff ff7f 7fff 8000 ffff 010000 010001 00000001 7fffffff 80000000 00ffffffff'.split(' ').map(hex),
  ...'7fffffffffffffff 8000000000000000 00ffffffffffffffff'.split(' ').map(hex),
  empty,
  Buffer.alloc(20, 0x7f),
  Buffer.alloc(21, 0x7f),
  Buffer.alloc(257, 0x01),
  Buffer.alloc(2049, 0x7f),
  Buffer.alloc(2050, 0xff),
];

/** MD5, SHA-1, SHA-2 and SHA3-256, alone and with RSA or ECDSA; RC2, RC4, DES, AES-CBC and AES-GCM; content types that SCEP has no use for. */
const algorithms = `1.2.840.113549.2.5 1.2.840.113549.1.1.4 1.3.14.3.2.26 1.2.840.113549.1.1.5 2.16.840.1.101.3.4.2.1 2.16.840.1.101.3.4.2.2
  2.16.840.1.101.3.4.2.3 2.16.840.1.101.3.4.2.8 1.2.840.113549.1.1.11 1.2.840.113549.1.1.12 1.2.840.113549.1.1.13 1.2.840.10045.4.3.2
  1.2.840.113549.3.2 1.2.840.113549.3.4 1.2.840.113549.3.7 1.3.14.3.2.7 2.16.840.1.101.3.4.1.2 2.16.840.1.101.3.4.1.42 2.16.840.1.101.3.4.1.46
  1.2.840.113549.1.7.4 1.2.840.113549.1.7.5`;
/** nameConstraints, policyConstraints, inhibitAnyPolicy, issuerAltName; Ed25519, X25519, secp256k1; the smallest, and one whose arcs take care. */
const others = '2.5.29.30 2.5.29.36 2.5.29.54 2.5.29.18 1.3.101.112 1.3.101.110 1.3.132.0.10 0.0 2.999.1';

export const oids: readonly Buffer[] = [
  ...[...Object.values(Oid), ...algorithms.split(/\s+/), ...others.split(' ')].map(dotted =>
    Buffer.from(objectIdentifier(dotted).subarray(2)),
  ),
  ...'80 8001 2a80 ff 2aff 00 7f 8080808001'.split(' ').map(hex),
  empty,
  Buffer.alloc(63, 0xff),
  Buffer.alloc(65, 0x01),
  Buffer.alloc(200, 0x81),
];

const utcTimes = `000101000000Z 491231235959Z 500101000000Z 991231235959Z 9912312359Z 250229000000Z 240229000000Z 251301000000Z 250101246060Z
  250101000000+0000 250101000000 25010100000_Z Z`;
const generalizedTimes = `20500101000000Z 99991231235959Z 00000101000000Z 19700101000000Z 20250101000000.123Z 20250101000000+1400 202501010000Z
  20250101000000-9999 -0250101000000Z ٢٥٠١٠١٠٠٠٠٠٠Z`;

export const times: readonly Buffer[] = [...`${utcTimes} ${generalizedTimes}`.split(/\s+/).map(text => Buffer.from(text)), empty];

/** messageTypes and pkiStatuses; what is special to formats, HTML, databases and JavaScript; names of many kinds. */
const words = `0 2 3 17 18 19 20 21 22 99 019 -1 1e1 99999999999999999 %s%n \${a} {{a}} ../../etc/passwd <script> '-- " \\ * *.example.com . - xn--
  127.0.0.1 ::1 a@b Seconds ValidityPeriod __proto__ constructor`;
/** Control characters, and blanks that a reader may cut off. */
const odd = ['', ' ', '   ', ' 19', '19 ', '\0', 'a\0b', '\r\n', 'a\nb', '\u001b[31m', '\u007f'];
/** é, and in each coding of Unicode what is no character. */
const codings = 'c3a9 c0af eda080 f4908080 ff fe d800 dc00d800 00000000 0010ffff efbbbf41 e280ae feff0041';
/** Around the limits of transactionID, of a subject, and of what a length of two octets says. */
const long = [256, 257, 4097, 70_000].map(length => 'a'.repeat(length));

export const texts: readonly Buffer[] = [
  ...[...words.split(/\s+/), ...odd, ...long, 'é'.repeat(200), '𝒳'.repeat(100)].map(text => Buffer.from(text)),
  ...codings.split(' ').map(hex),
];
