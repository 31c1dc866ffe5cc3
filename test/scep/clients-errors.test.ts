/** The default mode: what AWS answers with an HTTP error comes as a CertRep with HTTP 200, an outage as 503, and AWS's headers with either. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ConnectorErrorCode } from '../../src/base/scep.ts';
import { awsErrorCodes, awsErrors } from '../support/aws-error-contract.ts';
import { decodeCertRep, type HttpAnswer, issuedBy, send } from '../support/raw-scep-client.ts';
import { type Provoked, provocations } from '../support/scep-provocations.ts';
import { Subject } from '../support/scep-subject.ts';

let subject: Subject;
before(async () => {
  subject = await Subject.start({});
});
after(() => subject[Symbol.asyncDispose]());

/** Without a CertRep: the status, and the seconds to wait. What a message can be known by has one. */
const refusals: Partial<Record<ConnectorErrorCode, [statusCode: number, retryAfter?: string]>> = {
  notBase64: [400],
  authorityNotActive: [503, '30'],
  invalidCms: [400],
  connectorNotActive: [400],
  invalidUri: [404],
  notDecoded: [400],
  authorityAccessDenied: [503, '30'],
  accountDoesNotExist: [404],
  authorityDoesNotExist: [503, '30'],
  connectorDoesNotExist: [404],
  connectorChanged: [503, '30'],
  throttled: [429, '1'],
};
/** A wrong URL is a wrong URL: which accounts there are is nobody's business. */
const shownAs: Partial<Record<ConnectorErrorCode, ConnectorErrorCode>> = { accountDoesNotExist: 'connectorDoesNotExist' };
/** AWS's own limits. */
const answered = new Set<ConnectorErrorCode>(['issuanceLimitExceeded', 'authorityValidityTooShort', 'hostHeader']);

function assertHeaders({ headers }: HttpAnswer, code: ConnectorErrorCode): void {
  const { errorType, message } = awsErrors[shownAs[code] ?? code];
  const [before = '', behind = ''] = message.split('…');
  const shown = String(headers['x-amzn-errormessage']);
  assert.equal(headers['x-amzn-errortype'], errorType);
  assert.ok(shown.startsWith(before) && shown.endsWith(behind), shown);
  if (!message.includes('…')) assert.equal(shown, message);
  assert.match(String(headers['x-amzn-requestid']), /^[0-9a-f-]{36}$/);
}

function assertRefused({ answer, client, transactionID }: Provoked, code: ConnectorErrorCode): void {
  const { headers, body } = answer;
  assertHeaders(answer, code);
  const refusal = refusals[code];
  const { failInfo } = awsErrors[code];
  // A pkiMessage of which the transactionID can be read has a CertRep, unless there is an outage or a rate.
  if (failInfo !== undefined && transactionID !== undefined) {
    assert.deepEqual([answer.statusCode, headers['content-type']], [200, 'application/x-pki-message']);
    assert.ok(client);
    const certRep = decodeCertRep(body, client.ra, client.device);
    assert.deepEqual([certRep.pkiStatus, certRep.failInfo, certRep.transactionID], ['FAILURE', failInfo, transactionID]);
    assert.notEqual(certRep.failInfoText, '');
    return;
  }
  assert.deepEqual([answer.statusCode, headers['retry-after']], [refusal?.[0], refusal?.[1]]);
  assert.equal(headers['content-type'], 'text/plain');
}

describe('SCEP_COMPATIBILITY=clients', () => {
  for (const code of awsErrorCodes) {
    const ways = Object.entries(provocations[code]);
    if (answered.has(code)) continue;
    it(`says "${awsErrors[code].message}" as clients understand it`, async () => {
      for (const [name, provoke] of ways) {
        try {
          assertRefused(await provoke(subject), code);
        } catch (cause) {
          throw new Error(`provoked by: ${name}`, { cause });
        }
      }
    });
  }

  for (const code of answered) {
    it(`does not say "${awsErrors[code].message}"`, async () => {
      for (const [name, provoke] of Object.entries(provocations[code])) {
        const { answer } = await provoke(subject);
        assert.deepEqual([answer.statusCode, answer.headers['x-amzn-errortype']], [200, undefined], name);
      }
    });
  }

  it('waits for a connector that is being created', async () => {
    await subject.setConnectorStatus('CREATING');
    try {
      const answer = await send(`${subject.server.url}?operation=GetCACaps`);
      assert.deepEqual([answer.statusCode, answer.headers['retry-after']], [503, '30']);
      assertHeaders(answer, 'connectorNotActive');
    } finally {
      await subject.setConnectorStatus('ACTIVE');
    }
  });

  it('leaves everything as it was: the connector still enrols', async () => {
    const { client } = subject;
    issuedBy(client.decode(await client.post(client.request())));
  });
});
