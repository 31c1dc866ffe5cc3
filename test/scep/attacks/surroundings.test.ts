/** Attacks around the messages (F.16, F.18 to F.21, F.24): a false CA, URLs that lure the server, other tenants, the log, what can be counted, and proxies' headers. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import ACMPCA from 'aws-sdk/clients/acmpca.js';
import { ia5String, integer, objectIdentifier, sequence, tlv } from '../../../src/base/pki/der.ts';
import type { KeyPair } from '../../../src/base/pki/enveloped-data.ts';
import { type Extension, generalName, subjectAltNameExtension } from '../../../src/base/pki/extensions.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { parseCertificate } from '../../../src/base/pki/x509.ts';
import { certificateAuthorityArn } from '../../../src/base/resources.ts';
import { MessageType } from '../../../src/base/scep.ts';
import { ScepClient } from '../../../src/client/scep-client.ts';
import { sharedCredentials } from '../../support/api-client.ts';
import { createConnector } from '../../support/operator.ts';
import { createIdentity, rsaKey } from '../../support/pki-fixtures.ts';
import { exchange, issuedBy, RawScepClient, type RequestParts, send } from '../../support/raw-scep-client.ts';
import { challengePassword, createDevice } from '../../support/scep-messages.ts';
import { accountId, type LogLine, startTemporaryServer, type TemporaryServer } from '../../support/temporary-server.ts';

const region = 'us-east-1';
const notOwn = 'The request could not be decoded, or there is no such certificate of the key that signed it.';

let server: TemporaryServer;
let client: RawScepClient;
let other: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
  other = await RawScepClient.connect(await createConnector(server));
});
after(() => server[Symbol.asyncDispose]());

const reasonOf = async (parts: RequestParts, at = client) => (await at.refusal(at.request(parts), parts.device)).failInfoText;

async function linesOf(work: () => Promise<unknown>): Promise<LogLine[]> {
  const before = server.logLines.length;
  await work();
  return server.logLines.slice(before);
}

describe('F.16: a false CA in the answer to GetCACert', () => {
  it('is told from the right one by its fingerprint, which the first start shows and the API’s certificate has', async () => {
    const { ca_id } = await server.database.query.selectFrom('certificate_authorities').select('ca_id').executeTakeFirstOrThrow();
    const credentials = sharedCredentials(server.credentialsFile);
    const api = new ACMPCA({ endpoint: server.apiUrl, region, maxRetries: 0, credentials });
    const CertificateAuthorityArn = certificateAuthorityArn({ accountId, region }, ca_id);
    const { Certificate = '' } = await api.getCertificateAuthorityCertificate({ CertificateAuthorityArn }).promise();
    assert.equal(new X509Certificate(Certificate).fingerprint256.replaceAll(':', '').toLowerCase(), server.caFingerprint);
    assert.equal(new X509Certificate(client.ca.der).fingerprint256.replaceAll(':', '').toLowerCase(), server.caFingerprint);
  });

  it('gets nothing of a client that was given the fingerprint', async () => {
    await using man = await startTemporaryServer();
    await assert.rejects(new ScepClient(man.url, server.caFingerprint).getCaCert(), /Do not enrol/);
    assert.equal((await new ScepClient(server.url, server.caFingerprint).getCaCert()).authorities.length, 1);
  });
});

describe('F.18: a URL in a request, which the server might fetch', () => {
  it('is not fetched, wherever it stands: in the CSR, in the signer’s certificate or in headers', async () => {
    let contacts = 0;
    await using lure = createServer((_request, response) => void response.end()).on('connection', () => contacts++);
    await new Promise<void>(resolve => void lure.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(lure.address() as AddressInfo).port}/`;
    const uri = tlv(0x86, Buffer.from(url));
    const extension = (oid: string, value: Uint8Array): Extension => ({ oid, critical: false, value });
    const extensions = [
      extension(
        Oid.authorityInfoAccess,
        sequence(sequence(objectIdentifier('1.3.6.1.5.5.7.48.2'), uri), sequence(objectIdentifier('1.3.6.1.5.5.7.48.1'), uri)),
      ),
      extension(Oid.crlDistributionPoints, sequence(sequence(tlv(0xa0, tlv(0xa0, uri))))),
      extension(
        Oid.certificatePolicies,
        sequence(sequence(objectIdentifier('1.2.3.4'), sequence(sequence(objectIdentifier('1.3.6.1.5.5.7.2.1'), ia5String(url))))),
      ),
    ];
    const { certificate } = createIdentity({ key: client.device.privateKey, extensions });
    const device: KeyPair = { certificate, privateKey: client.device.privateKey };
    const message = client.request({ device, extensions: [subjectAltNameExtension([generalName.uri(url)], false), ...extensions] });
    const headers = { Referer: url, Link: `<${url}>`, 'X-Forwarded-Host': new URL(url).host, 'X-Original-URL': url };
    issuedBy(client.decode(await send(server.url, { method: 'POST', body: message, headers }), device));
    assert.equal(contacts, 0);
    // The lure works.
    await send(url);
    assert.notEqual(contacts, 0);
  });
});

describe('F.19: what belongs to another connector', () => {
  it('is good for nothing here: its password, its RA, its certificates, its secret', async () => {
    assert.equal(await reasonOf({ challenge: challengePassword(server.challengePassword) }, other), 'The challenge password is invalid.');
    assert.match(
      (await reasonOf({ envelope: { recipients: [{ certificate: client.ra }] } }, other)) ?? '',
      /^The message is not encrypted to this endpoint’s current certificate\./,
    );
    const { raw } = await client.enrol();
    const device = { certificate: parseCertificate(raw), privateKey: client.device.privateKey };
    assert.match((await reasonOf({ device, csrParts: { key: rsaKey('second') } }, other)) ?? '', /not signed with the key/);
    const mixed = `${new URL(server.url).origin}/${accountId}-${server.connectorId}/${other.endpoint.url.split('/').at(-1)}`;
    assert.equal((await send(`${mixed}?operation=GetCACaps`)).statusCode, 404);
  });
});

describe('F.20: line breaks and escapes for the log', () => {
  it('stay within one value of one line, and no longer than that may be', async () => {
    const forged = '\n{"level":30,"msg":"forged"}\r\n\u001b[2J';
    const subject = `CN=${Buffer.from(forged).toString('hex').replace(/../g, '\\$&')}`;
    const attributes = [challengePassword(server.challengePassword)];
    const lines = await linesOf(() => client.refusal(client.request({ csrParts: { subject, attributes } })));
    const path = new URL(server.url).pathname;
    const query = encodeURIComponent(forged) + 'o'.repeat(5000);
    const more = await linesOf(() =>
      exchange(
        server.url,
        `GET ${path}?operation=${query} HTTP/1.1\r\nHost: x\r\nUser-Agent: ${'\t\u00ff'.repeat(5000)}\r\nConnection: close\r\n\r\n`,
      ),
    );
    const written = [...lines, ...more];
    assert.ok(written.length >= 3);
    for (const line of written) {
      assert.notEqual(line['msg'], 'forged');
      // pino writes a line as JSON, in which nothing breaks it; what was one line is one object again.
      // oxlint-disable-next-line no-control-regex -- they are what must not be there
      const breaks = /[\n\r\u001b]/;
      for (const value of Object.values(line))
        assert.ok(typeof value !== 'string' || (value.length <= 1024 && !breaks.test(value)), String(value));
    }
  });

  it('are no transactionID: what an answer, a log line and the store would hold is refused', async () => {
    for (const transactionID of ['a\nb', 'a\u001b[2J', 'a\0b']) {
      const { statusCode, text } = await client.rejection(client.request({ transactionID }));
      assert.deepEqual([statusCode, text], [400, 'The request is refused: a transactionID with characters that are not printable.\n']);
    }
  });
});

describe('F.21: finding out what there is by trying', () => {
  it('tells no connector from none: a right one under a wrong secret is the same 404', async () => {
    const { origin } = new URL(server.url);
    const none = '00000000-0000-4000-8000-000000000000';
    const tries = [`/${accountId}-${server.connectorId}/${none}`, `/${accountId}-${none}/${none}`, `/111122223333-${none}/${none}`, '/'];
    const answers = await Promise.all(
      tries.map(async path => {
        const { statusCode, headers, body } = await send(`${origin}${path}?operation=GetCACaps`);
        const { date: _date, 'x-amzn-requestid': _id, 'x-amzn-errormessage': message = '', ...rest } = headers;
        return { statusCode, body: String(body), rest, named: String(message).includes(server.endpointSecret) };
      }),
    );
    assert.deepEqual(
      answers.map(({ statusCode, body, named }) => ({ statusCode, body, named })),
      tries.map(() => ({ statusCode: 404, body: 'There is no connector at this URL.\n', named: false })),
    );
    assert.deepEqual(answers[1]?.rest, answers[0]?.rest);
  });

  it('gives no certificate to whoever has its serial number and not its key, and says so as of one that is not there', async () => {
    const issued = parseCertificate((await client.enrol()).raw);
    const getCert = (serialNumber: Uint8Array, device: KeyPair) =>
      client.request({ device, messageType: MessageType.GetCert, csr: sequence(client.ca.subject.der, serialNumber) });
    const stranger = createDevice(rsaKey('attacker'));
    const refusal = { failInfo: 'badCertId', failInfoText: notOwn };
    for (const serialNumber of [issued.serialNumberDer, integer(4711), client.ra.serialNumberDer, client.ca.serialNumberDer]) {
      assert.deepEqual(await client.refusal(getCert(serialNumber, stranger), stranger), refusal);
    }
    const { certificates } = await client.exchange(getCert(issued.serialNumberDer, client.device));
    assert.deepEqual(certificates[0]?.der, issued.der);
  });
});

describe('F.24: headers that only a proxy of the operator’s may write', () => {
  const headers = {
    'X-Forwarded-For': '203.0.113.9',
    Forwarded: 'for=203.0.113.9;proto=https;host=scep.example.com',
    'X-Real-IP': '203.0.113.9',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Host': 'scep.example.com',
    'X-Original-URL': '/readyz',
    'X-HTTP-Method-Override': 'DELETE',
    'X-Forwarded-User': 'administrator',
  };

  it('change nothing from anybody else: not the source in log and records, nor the path, nor the method', async () => {
    const lines = await linesOf(async () => {
      const { statusCode, body } = await send(`${server.url}?operation=GetCACaps`, { headers });
      assert.deepEqual([statusCode, String(body).includes('SCEPStandard')], [200, true]);
    });
    const hit = lines.find(({ msg }) => msg === 'scep request');
    assert.deepEqual([hit?.['source'], hit?.['method'], hit?.['operation']], ['127.0.0.1', 'GET', 'GetCACaps']);
  });

  it('vouch for nobody: a certificate in a header takes the place of no password and no signature', async () => {
    const { raw } = await client.enrol();
    const pem = encodeURIComponent(new X509Certificate(raw).toString());
    const certificate = {
      'X-SSL-Client-Cert': pem,
      'X-SSL-Client-Verify': 'SUCCESS',
      'X-Forwarded-Client-Cert': `Cert="${pem}"`,
      'X-ARR-ClientCert': raw.toString('base64'),
    };
    const message = client.request({ csrParts: { attributes: [] } });
    const answer = await send(server.url, { method: 'POST', body: message, headers: { ...headers, ...certificate } });
    const { pkiStatus, failInfoText } = client.decode(answer);
    assert.deepEqual(
      [pkiStatus, failInfoText],
      ['FAILURE', 'Exactly one challenge password is required in the certificate signing request.'],
    );
  });

  it('save no guesser from the limit on guesses', async () => {
    await using own = await startTemporaryServer();
    const guesser = await RawScepClient.connect(own);
    const statusCodes = new Set<number>();
    for (let count = 0; count < 25; count++) {
      const body = guesser.request({ challenge: challengePassword(`guess ${count}`) });
      statusCodes.add((await send(own.url, { method: 'POST', body, headers: { 'X-Forwarded-For': `203.0.113.${count}` } })).statusCode);
    }
    assert.deepEqual([...statusCodes], [200, 429]);
  });
});
