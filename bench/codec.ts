/** What the codec costs: decoding a PKIOperation without its cryptography, opening it whole and encoding its answer, beside one RSA-2048 signature. */
import { randomBytes, sign } from 'node:crypto';
import { contentCiphers, digests } from '../src/base/pki/algorithms.ts';
import { parseEnvelopedData } from '../src/base/pki/enveloped-data.ts';
import { encodeCertRep, openPkiMessage, parsePkiMessage } from '../src/fronts/scep/pki-message.ts';
import {
  createCaAndRa,
  createCsr,
  createIdentity,
  createPkcsReq,
  defaultPolicy,
  requestAttributes,
  rsaKey,
} from '../test/support/pki-fixtures.ts';
import type { Measurement } from './run.ts';

const rounds = 40;
/** Not counted: the functions are compiled in them. */
const warmUpRounds = 5;
/** The share of a signature that parsing may cost. */
const parseOverSignMax = 0.05;

interface Candidate {
  /** How often it runs in one round: enough for the clock, and no longer than the others. */
  times: number;
  run: (turn: number) => unknown;
  micros: number[];
}

export function measureCodec(): Measurement {
  const { ca, ra } = createCaAndRa();
  const client = createIdentity();
  const certificate = createIdentity({ issuer: ca }).certificate.der;
  const messages = Array.from({ length: 16 }, (_, index) =>
    createPkcsReq({
      client,
      ra,
      csr: createCsr(client.privateKey, randomBytes(18).toString('base64')),
      attributes: requestAttributes(`TRANSACTION-${index}`),
    }),
  );
  const messageOf = (turn: number) => messages[turn % messages.length] ?? Buffer.alloc(0);
  const signed = randomBytes(256);
  const request = { transactionID: 'TRANSACTION', senderNonce: randomBytes(16) };
  const result = { pkiStatus: 'SUCCESS', certificates: [certificate], recipient: client.certificate.der } as const;
  const reply = {
    keyPair: ra,
    digest: digests['SHA-256'],
    cipher: contentCiphers['AES-128-CBC'],
    keyTransport: { scheme: 'PKCS1' },
  } as const;

  const parse = candidate(1000, turn => {
    const { signedData } = parsePkiMessage(messageOf(turn));
    if (signedData.eContent === undefined) throw new Error('the message has no content');
    return parseEnvelopedData(signedData.eContent);
  });
  const rsa2048Sign = candidate(40, () => sign('sha256', signed, rsaKey('ra')));
  const open = candidate(25, turn =>
    openPkiMessage(parsePkiMessage(messageOf(turn)), { requestType: 'PKCSReq', keyPairs: [ra], policy: defaultPolicy }),
  );
  const encodeReply = candidate(25, () => encodeCertRep(request, result, reply, randomBytes));
  measure([parse, rsa2048Sign, open, encodeReply]);

  const figures = {
    parseMicros: median(parse.micros),
    rsa2048SignMicros: median(rsa2048Sign.micros),
    parseOverSign: median(parse.micros) / median(rsa2048Sign.micros),
    openMicros: median(open.micros),
    encodeCertRepMicros: median(encodeReply.micros),
    messageBytes: messageOf(0).length,
  };
  return {
    title: `codec: a PKIOperation of ${figures.messageBytes} bytes, medians of ${rounds} interleaved rounds`,
    rows: [
      ['parse, no cryptography', `${figures.parseMicros.toFixed(1)} µs`],
      ['one RSA-2048 signature', `${figures.rsa2048SignMicros.toFixed(1)} µs`],
      ['parse / signature', `${figures.parseOverSign.toFixed(4)} (must be below ${parseOverSignMax})`],
      ['open: parse, verify, decrypt, parse the CSR', `${figures.openMicros.toFixed(1)} µs`],
      ['encode a CertRep: encrypt, sign', `${figures.encodeCertRepMicros.toFixed(1)} µs`],
    ],
    figures,
  };
}

function candidate(times: number, run: (turn: number) => unknown): Candidate {
  return { times, run, micros: [] };
}

/** In each round every candidate has its turn, so that a slow spell of the machine meets them all alike. */
function measure(candidates: readonly Candidate[]): void {
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const { times, run, micros } of candidates) {
      const start = performance.now();
      for (let turn = 0; turn < times; turn++) run(turn);
      if (round >= 0) micros.push(((performance.now() - start) * 1000) / times);
    }
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
