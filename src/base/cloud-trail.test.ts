/** The records of the audit trail against CloudTrail's documented samples, and what bounds them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { boundParameters, recordLimits, type StoredEvent, toCloudTrail } from './cloud-trail.ts';
import { type ApiCall, type AuditEvent, apiCalled, connectorDeleted, enrolmentRefused, scepCalled } from './events.ts';

const accountId = '111122223333';
const region = 'us-east-1';
const connectorId = 'a1b2c3d4-5678-90ab-cdef-111111111111';
const ConnectorArn = `arn:aws:pca-connector-scep:${region}:${accountId}:connector/${connectorId}`;
const ChallengeArn = `${ConnectorArn}/challenge/a1b2c3d4-5678-90ab-cdef-222222222222`;
const CertificateAuthorityArn = `arn:aws:acm-pca:${region}:${accountId}:certificate-authority/a1b2c3d4-5678-90ab-cdef-333333333333`;
const requestId = 'a1b2c3d4-5678-90ab-cdef-aaaaaaaaaaaa';
const eventId = 'a1b2c3d4-5678-90ab-cdef-bbbbbbbbbbbb';
const userAgent = 'Python/3.11.8 Darwin/22.6.0 exe/x86_64';
const host = `${accountId}-${connectorId}.enroll.pca-connector-scep.us-east-1.api.aws`;
const arn = `arn:aws:iam::${accountId}:user/my-user-name`;
const principal = { accountId, arn, userName: 'my-user-name', accessKeyId: 'AKIAIOSFODNN7EXAMPLE' };
const userIdentity = {
  type: 'IAMUser',
  principalId: 'my-user-name',
  arn,
  accountId,
  accessKeyId: principal.accessKeyId,
  userName: 'my-user-name',
};

/** As the store keeps it and gives it back. */
function stored(event: AuditEvent, at: string): StoredEvent {
  return {
    event_id: eventId,
    category: event.category,
    at: Date.parse(at),
    name: event.name,
    account_id: event.accountId ?? null,
    region: event.region ?? null,
    connector_id: event.connectorId ?? null,
    source: event.source ?? null,
    outcome: event.outcome,
    reason: event.reason ?? null,
    detail: JSON.stringify(event.detail),
  };
}

function call(change: Partial<ApiCall>): ApiCall {
  return {
    operation: 'CreateConnector',
    eventSource: 'pca-connector-scep.amazonaws.com',
    principal,
    region,
    source: '10.0.0.0',
    userAgent,
    requestId,
    readOnly: false,
    requestParameters: null,
    responseElements: null,
    ...change,
  };
}

/** What the samples of the Private CA User Guide, "Log Connector for SCEP API calls using AWS CloudTrail", have in common. */
const management = {
  eventVersion: '1.09',
  userIdentity,
  eventSource: 'pca-connector-scep.amazonaws.com',
  awsRegion: region,
  sourceIPAddress: '10.0.0.0',
  userAgent,
  requestID: requestId,
  eventID: eventId,
  eventType: 'AwsApiCall',
  managementEvent: true,
  recipientAccountId: accountId,
  eventCategory: 'Management',
};
/** The samples have none with management events, CloudTrail’s reference allows it. */
const connectorResource = [{ accountId, type: 'AWS::PCAConnectorSCEP::Connector', ARN: ConnectorArn }];

describe('a record', () => {
  it('of CreateConnector is the documented one', () => {
    const requestParameters = { ClientToken: '11223344-2222-3333-4444-666555444555', CertificateAuthorityArn };
    const event = apiCalled(call({ requestParameters, responseElements: { ConnectorArn } }));
    assert.deepEqual(toCloudTrail(stored(event, '2024-08-16T17:48:07.999Z')), {
      ...management,
      eventTime: '2024-08-16T17:48:07Z',
      eventName: 'CreateConnector',
      requestParameters,
      responseElements: { ConnectorArn },
      readOnly: false,
      resources: connectorResource,
    });
  });

  it('of CreateChallenge is the documented one', () => {
    const requestParameters = { ConnectorArn, ClientToken: '11223344-2222-3333-4444-666555444555' };
    const Challenge = { Arn: ChallengeArn, ConnectorArn, CreatedAt: 1723830472.942, Password: '***', UpdatedAt: 1723830472.942 };
    const event = apiCalled(
      call({ operation: 'CreateChallenge', requestParameters, responseElements: { Challenge }, resource: ConnectorArn }),
    );
    assert.deepEqual(toCloudTrail(stored(event, '2024-08-16T17:47:52Z')), {
      ...management,
      eventTime: '2024-08-16T17:47:52Z',
      eventName: 'CreateChallenge',
      requestParameters,
      responseElements: { Challenge },
      readOnly: false,
      resources: connectorResource,
    });
  });

  it('of GetChallengePassword is the documented one', () => {
    const event = apiCalled(
      call({ operation: 'GetChallengePassword', readOnly: true, requestParameters: { ChallengeArn }, resource: ChallengeArn }),
    );
    assert.deepEqual(toCloudTrail(stored(event, '2024-08-16T17:55:54Z')), {
      ...management,
      eventTime: '2024-08-16T17:55:54Z',
      eventName: 'GetChallengePassword',
      requestParameters: { ChallengeArn },
      responseElements: null,
      readOnly: true,
      resources: [{ accountId, type: 'AWS::PCAConnectorSCEP::Challenge', ARN: ChallengeArn }],
    });
  });

  it('of a PKIOperation that failed is the documented one, with the transaction beside it', () => {
    const message = 'The certificate authority is not in a valid state for issuing certificates';
    const event = scepCalled({
      operation: 'PKIOperationPost',
      method: 'POST',
      accountId,
      region,
      connectorId,
      source: '10.0.0.0',
      userAgent,
      host,
      requestId,
      transactionID: 'T1',
      outcome: 'FAILURE',
      error: { code: 'BadRequestException', message },
    });
    assert.deepEqual(toCloudTrail(stored(event, '2024-08-16T17:40:09Z')), {
      eventVersion: '1.10',
      userIdentity: { type: 'FederatedUser', principalId: accountId, accountId },
      eventTime: '2024-08-16T17:40:09Z',
      eventSource: 'pca-connector-scep.amazonaws.com',
      eventName: 'PKIOperationPost',
      awsRegion: region,
      sourceIPAddress: '10.0.0.0',
      userAgent,
      errorCode: 'BadRequestException',
      errorMessage: message,
      requestParameters: null,
      responseElements: null,
      requestID: requestId,
      eventID: eventId,
      readOnly: false,
      resources: connectorResource,
      eventType: 'AwsApiCall',
      managementEvent: false,
      recipientAccountId: accountId,
      eventCategory: 'Data',
      tlsDetails: { clientProvidedHostHeader: host },
      additionalEventData: { method: 'POST', transactionID: 'T1', outcome: 'FAILURE' },
    });
  });

  it('of GetCACaps says that it only reads', () => {
    const common = { method: 'GET', accountId, region, connectorId, source: '10.0.0.0', requestId, outcome: 'success' };
    const record = toCloudTrail(stored(scepCalled({ operation: 'GetCACaps', ...common }), '2024-08-16T17:40:09Z'));
    assert.deepEqual([record['readOnly'], record['errorCode'], record['userAgent']], [true, undefined, undefined]);
  });

  it('of a SCEP request that leads to no connector names no account, and the operation that there is not as it was sent, cut', () => {
    const error = { code: 'ValidationException', message: 'There is no connector at this URL.' };
    const sent = {
      operation: 'UnsupportedOperation',
      sentOperation: 'o'.repeat(65),
      source: '10.0.0.0',
      requestId,
      outcome: 'refused',
    } as const;
    assert.deepEqual(toCloudTrail(stored(scepCalled({ ...sent, error }), '2024-08-16T17:40:09Z')), {
      eventVersion: '1.10',
      userIdentity: { type: 'FederatedUser' },
      eventTime: '2024-08-16T17:40:09Z',
      eventSource: 'pca-connector-scep.amazonaws.com',
      eventName: 'UnsupportedOperation',
      sourceIPAddress: '10.0.0.0',
      errorCode: error.code,
      errorMessage: error.message,
      requestParameters: null,
      responseElements: null,
      requestID: requestId,
      eventID: eventId,
      readOnly: true,
      eventType: 'AwsApiCall',
      managementEvent: false,
      eventCategory: 'Data',
      additionalEventData: { operation: 'o'.repeat(64), outcome: 'refused' },
    });
  });

  it('of a refused call has the error in place of a response', () => {
    const error = { code: 'AccessDeniedException', message: `User: ${arn} is not authorized` };
    const resource = CertificateAuthorityArn;
    const eventSource = 'acm-pca.amazonaws.com';
    const event = apiCalled(call({ operation: 'PutPolicy', eventSource, resource, host: 'ca.example.com', error }));
    assert.deepEqual(toCloudTrail(stored(event, '2024-08-16T17:40:09Z')), {
      ...management,
      eventTime: '2024-08-16T17:40:09Z',
      eventSource,
      eventName: 'PutPolicy',
      errorCode: error.code,
      errorMessage: error.message,
      requestParameters: null,
      responseElements: null,
      readOnly: false,
      resources: [{ accountId, type: 'AWS::ACMPCA::CertificateAuthority', ARN: CertificateAuthorityArn }],
      tlsDetails: { clientProvidedHostHeader: 'ca.example.com' },
    });
  });

  it('of what the service did itself is an AWS service event', () => {
    const subject = { accountId, region, connectorId, transactionID: 'T2', source: '10.0.0.9' };
    const event = enrolmentRefused(subject, { failInfo: 'badRequest', reason: 'The challenge password is invalid.' });
    assert.deepEqual(toCloudTrail(stored(event, '2021-01-14T01:41:59Z')), {
      eventVersion: '1.09',
      userIdentity: { accountId, invokedBy: 'pca-connector-scep.amazonaws.com' },
      eventTime: '2021-01-14T01:41:59Z',
      eventSource: 'pca-connector-scep.amazonaws.com',
      eventName: 'EnrolmentRefused',
      awsRegion: region,
      sourceIPAddress: '10.0.0.9',
      userAgent: 'pca-connector-scep.amazonaws.com',
      requestParameters: null,
      responseElements: null,
      eventID: eventId,
      readOnly: false,
      resources: connectorResource,
      eventType: 'AwsServiceEvent',
      managementEvent: true,
      recipientAccountId: accountId,
      serviceEventDetails: {
        outcome: 'failure',
        reason: 'The challenge password is invalid.',
        transactionID: 'T2',
        failInfo: 'badRequest',
      },
      eventCategory: 'Management',
    });
  });

  it('of the service itself names the service where there is no peer', () => {
    const event = connectorDeleted({ accountId, region, connectorId });
    assert.equal(toCloudTrail(stored(event, '2021-01-14T01:41:59Z'))['sourceIPAddress'], 'pca-connector-scep.amazonaws.com');
  });
});

describe('the connector that a call is about', () => {
  it('is the one that it names, the one of the challenge that it names, or the one that it made', () => {
    assert.equal(apiCalled(call({ resource: ConnectorArn })).connectorId, connectorId);
    assert.equal(apiCalled(call({ resource: ChallengeArn })).connectorId, connectorId);
    assert.equal(apiCalled(call({ responseElements: { ConnectorArn } })).connectorId, connectorId);
  });

  it('is none for a stranger, and none when what is named is no connector', () => {
    const strangersArn = ConnectorArn.replace(accountId, '444455556666');
    for (const resource of [strangersArn, CertificateAuthorityArn, 'x', '']) {
      assert.equal(apiCalled(call({ resource })).connectorId, undefined);
    }
    assert.deepEqual(
      toCloudTrail(stored(apiCalled(call({ resource: 'arn:aws:pca-connector-scep:x' })), '2024-01-01T00:00:00Z'))['resources'],
      undefined,
    );
  });
});

describe('who waits for the disk', () => {
  const error = { code: 'ConflictException', message: '' };
  const scep = { method: 'POST', accountId, region, connectorId, source: '', requestId, outcome: '' };

  it('is the caller of what changed something', () => {
    assert.equal(apiCalled(call({})).awaited, true);
  });

  it('is nobody who only read or was refused, nor a device, whose certificate has an event of its own', () => {
    assert.equal(apiCalled(call({ readOnly: true })).awaited, false);
    assert.equal(apiCalled(call({ error })).awaited, false);
    assert.equal(scepCalled({ ...scep, operation: 'GetCACert' }).awaited, false);
    assert.equal(scepCalled({ ...scep, operation: 'PKIOperationPost' }).awaited, false);
    assert.equal(scepCalled({ ...scep, operation: 'PKIOperationPost', error }).awaited, false);
  });
});

describe('what callers send', () => {
  const { textCharactersMax, parameterCharactersMax, parameterDepthMax } = recordLimits;

  it('is cut where it is text', () => {
    const long = 'x'.repeat(textCharactersMax);
    const event = apiCalled(call({ userAgent: `${long}y`, host: `${long}y`, error: { code: 'ValidationException', message: `${long}y` } }));
    const record = toCloudTrail(stored(event, '2024-01-01T00:00:00Z'));
    const cut = `${long}… (${textCharactersMax + 1} characters)`;
    assert.deepEqual([record['userAgent'], record['errorMessage'], record['tlsDetails']], [cut, cut, { clientProvidedHostHeader: cut }]);
    assert.equal(toCloudTrail(stored(apiCalled(call({ userAgent: long })), '2024-01-01T00:00:00Z'))['userAgent'], long);
  });

  it('stays as it is up to the bound', () => {
    const Policy = 'x'.repeat(parameterCharactersMax - '{"Policy":""}'.length);
    assert.deepEqual(boundParameters('requestParameters', { Policy }), { Policy });
    assert.deepEqual(boundParameters('requestParameters', null), null);
  });

  it('has its long values cut beyond the bound', () => {
    const Policy = 'x'.repeat(parameterCharactersMax);
    const cut = `${'x'.repeat(textCharactersMax)}… (${parameterCharactersMax} characters)`;
    const name = 'n'.repeat(2000);
    assert.deepEqual(boundParameters('requestParameters', { Policy, Tags: { [name]: 'v' } }), {
      Policy: cut,
      Tags: { [`${'n'.repeat(textCharactersMax)}… (2000 characters)`]: 'v' },
    });
  });

  it('is left out, as by CloudTrail, where there are too many values', () => {
    const TagKeys = Array.from({ length: parameterCharactersMax }, () => 1);
    assert.deepEqual(boundParameters('responseElements', { TagKeys }), {
      reason: 'responseElements too large',
      omitted: true,
      originalSize: JSON.stringify({ TagKeys }).length,
    });
  });

  it('may be nested deeper than JSON.stringify can follow', () => {
    const nested: unknown = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
    const text = JSON.stringify(boundParameters('requestParameters', { Tags: nested }));
    assert.equal(text, `{"Tags":${'['.repeat(parameterDepthMax - 1)}"…"${']'.repeat(parameterDepthMax - 1)}}`);
  });
});
