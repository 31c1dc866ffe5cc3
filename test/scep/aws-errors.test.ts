/** SCEP_COMPATIBILITY=aws: every error that AWS's connector documents, to the character. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ConnectorErrorCode } from '../../src/base/scep.ts';
import { connectorErrors } from '../../src/fronts/scep/connector-errors.ts';
import { awsErrorCodes, awsErrors } from '../support/aws-error-contract.ts';
import { decodeCertRep, issuedBy, send } from '../support/raw-scep-client.ts';
import { type Provoked, provocations } from '../support/scep-provocations.ts';
import { Subject } from '../support/scep-subject.ts';
import { accountId } from '../support/temporary-server.ts';

const env = { SCEP_COMPATIBILITY: 'aws' };
const requestIdForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let subject: Subject;
before(async () => {
  subject = await Subject.start(env);
});
after(() => subject[Symbol.asyncDispose]());

/** What stands for `…`, by the name of the provocation. */
const details: Record<string, () => string> = {
  'single DES': () => '1.3.14.3.2.7',
  MD5: () => '1.2.840.113549.2.5',
  'RenewalReq (17)': () => '17',
  'UpdateReq (18)': () => '18',
  'CertRep (3)': () => '3',
  'an unknown one (99)': () => '99',
  'an action that Intune denies': () => 'scep_challenge_provider',
  'an action that Graph denies': () => 'Application.Read.All',
  'a CSR that Intune refuses': () => 'SubjectNameMismatch',
  'a UUID that is not its own': () =>
    `https://localhost:8443/${accountId}-${subject.server.connectorId}/00000000-0000-4000-8000-000000000000`,
};

function assertAnswer({ answer, client, transactionID }: Provoked, code: ConnectorErrorCode, detail: string): void {
  const { statusCode, errorType, message, hasCertRep, failInfo } = awsErrors[code];
  const { headers, body } = answer;
  const text = message.replace('…', detail);
  assert.equal(answer.statusCode, statusCode);
  assert.equal(headers['x-amzn-errortype'], errorType);
  assert.equal(headers['x-amzn-errormessage'], text);
  assert.match(String(headers['x-amzn-requestid']), requestIdForm);
  assert.equal(headers['retry-after'] === undefined, statusCode !== 429);
  if (!hasCertRep) {
    assert.deepEqual([headers['content-type'], String(body)], ['text/plain', `${text}\n`]);
    return;
  }
  assert.equal(headers['content-type'], 'application/x-pki-message');
  assert.ok(client);
  const certRep = decodeCertRep(body, client.ra, client.device);
  assert.deepEqual([certRep.pkiStatus, certRep.failInfo, certRep.transactionID], ['FAILURE', failInfo, transactionID]);
}

describe('SCEP_COMPATIBILITY=aws', () => {
  const provoked = new Set<ConnectorErrorCode>();

  it('enrols', async () => {
    const { client } = subject;
    issuedBy(client.decode(await client.post(client.request())));
  });

  for (const code of awsErrorCodes) {
    const ways = Object.entries(provocations[code]);
    it(awsErrors[code].message, async () => {
      assert.notEqual(ways.length, 0);
      for (const [name, provoke] of ways) {
        try {
          assertAnswer(await provoke(subject), code, details[name]?.() ?? '');
        } catch (cause) {
          throw new Error(`provoked by: ${name}`, { cause });
        }
      }
      provoked.add(code);
    });
  }

  it('has exactly the 28 errors of the guide, each of them over HTTP', () => {
    assert.equal(Object.keys(connectorErrors).length, 28);
    assert.deepEqual(Object.keys(connectorErrors), awsErrorCodes);
    assert.deepEqual([...provoked].toSorted(), awsErrorCodes.toSorted());
  });

  it('leaves everything as it was: the connector still enrols', async () => {
    const { client } = subject;
    issuedBy(client.decode(await client.post(client.request())));
  });
});

describe('RenewalReq under SCEP_COMPATIBILITY=aws', () => {
  before(() => subject.setEnrolmentPolicy({ Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } }));
  after(() => subject.setEnrolmentPolicy({}));

  it('is refused, even where the policy of the connector renews', async () => {
    const { client } = subject;
    const { certificates } = client.decode(await client.post(client.request()));
    const [certificate] = certificates;
    assert.ok(certificate);
    const device = { certificate, privateKey: client.device.privateKey };
    const answer = await client.post(client.request({ device, messageType: '17', transactionID: 'renewal', csrParts: { attributes: [] } }));
    assertAnswer({ answer, client, transactionID: 'renewal' }, 'unsupportedMessageTypeNumber', '17');
  });

  it('is not announced', async () => {
    const { body } = await send(`${subject.server.url}?operation=GetCACaps`);
    assert.deepEqual(String(body).split('\n').includes('Renewal'), false);
    assert.ok(String(body).includes('POSTPKIOperation\n'));
  });
});
