/** Who may use a certificate authority and what it is labelled with: policies, permissions, tags and lists, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type ACMPCA from 'aws-sdk/clients/acmpca.js';
import { findCertificateAuthorityById } from '../../src/backends/store/certificate-authorities.ts';
import { admitsConnectorService } from '../../src/service/authority-admission.ts';
import { principal } from '../support/private-ca.ts';
import { otherAccountId, type PrivateCaServer, refusalOf, startPrivateCaServer } from '../support/private-ca-server.ts';

let server: PrivateCaServer;
let arn: string;
before(async () => {
  server = await startPrivateCaServer();
});
after(() => server[Symbol.asyncDispose]());
beforeEach(async () => {
  arn = await server.create();
});

function policyFor(Principal: unknown, Action: string | string[], Effect = 'Allow'): string {
  return JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect, Principal, Action, Resource: arn }] });
}
const shared = () => policyFor({ AWS: otherAccountId }, ['acm-pca:DescribeCertificateAuthority', 'acm-pca:GetCertificateAuthorityCsr']);
const putPolicy = (Policy: string) => server.client.putPolicy({ ResourceArn: arn, Policy });

describe('a policy', () => {
  test('is kept as it was given, replaced and deleted; without one there is nothing to get, and nothing wrong with deleting', async () => {
    const { client } = server;
    assert.match(await refusalOf(client.getPolicy({ ResourceArn: arn })), /^ResourceNotFoundException: .* has no policy/);
    await client.deletePolicy({ ResourceArn: arn }).promise();
    await putPolicy(policyFor('*', 'acm-pca:*')).promise();
    await putPolicy(shared()).promise();
    assert.deepEqual(await client.getPolicy({ ResourceArn: arn }).promise(), { Policy: shared() });
    await client.deletePolicy({ ResourceArn: arn }).promise();
    assert.match(await refusalOf(client.getPolicy({ ResourceArn: arn })), /^ResourceNotFoundException: /);
  });

  test('that says nothing IAM knows is refused with what is wrong', async () => {
    assert.match(await refusalOf(putPolicy('{')), /^InvalidPolicyException: The policy is not JSON/);
    assert.match(await refusalOf(putPolicy('{"Statement":{"Effect":"Allow"}}')), /^InvalidPolicyException: Statement 1 must have either/);
    assert.match(await refusalOf(putPolicy('x'.repeat(81_921))), /^ValidationException: .*81920/);
    assert.match(await refusalOf(server.client.putPolicy({ ResourceArn: `${arn}0`, Policy: shared() })), /^InvalidArnException: /);
  });

  test('that would keep its caller from ever changing it again is refused', async () => {
    const text = policyFor({ AWS: principal.accountId }, 'acm-pca:*', 'Deny');
    assert.match(await refusalOf(putPolicy(text)), /^LockoutPreventedException: /);
  });

  test('lets another account’s user do what it says and nothing else', async () => {
    const { otherAccountsClient } = server;
    const described = () => otherAccountsClient.describeCertificateAuthority({ CertificateAuthorityArn: arn });
    assert.match(await refusalOf(described()), /^AccessDeniedException: /);
    await putPolicy(shared()).promise();
    assert.equal((await described().promise()).CertificateAuthority?.OwnerAccount, principal.accountId);
    await otherAccountsClient.getCertificateAuthorityCsr({ CertificateAuthorityArn: arn }).promise();
    assert.match(
      await refusalOf(otherAccountsClient.deleteCertificateAuthority({ CertificateAuthorityArn: arn })),
      /^AccessDeniedException: /,
    );
  });
});

describe('the connector service', () => {
  const service = { Service: 'pca-connector-scep.amazonaws.com' };
  /** Whether an authority with this policy admits it: unless told otherwise, and as AWS has it. */
  async function admits(text?: string): Promise<[clients: boolean, aws: boolean]> {
    arn = await server.create();
    if (text !== undefined) await putPolicy(text.replaceAll('ARN', arn)).promise();
    const row = await findCertificateAuthorityById(server.subject.database.query, arn.slice(-36));
    assert.ok(row);
    return [admitsConnectorService(row, 'clients'), admitsConnectorService(row, 'aws')];
  }
  const statement = (Effect: string, Principal: unknown, Condition?: object) =>
    JSON.stringify({ Statement: { Effect, Principal, Action: 'acm-pca:IssueCertificate', Resource: 'ARN', Condition } });
  const byTemplate = (name: string) => ({ StringEquals: { 'acm-pca:TemplateArn': `arn:aws:acm-pca:::template/${name}/V1` } });

  test('is admitted unless it is denied; as AWS has it, only once it is allowed', async () => {
    assert.deepEqual(await admits(), [true, false]);
    assert.deepEqual(await admits(statement('Allow', service, byTemplate('BlankEndEntityCertificate_APICSRPassthrough'))), [true, true]);
    assert.deepEqual(await admits(statement('Allow', service, byTemplate('EndEntityCertificate'))), [true, false]);
    assert.deepEqual(await admits(statement('Deny', service)), [false, false]);
    assert.deepEqual(await admits(statement('Deny', { AWS: otherAccountId })), [true, false]);
  });

  test('comes from the account of the authority', async () => {
    const from = (account: string) => statement('Allow', service, { StringEquals: { 'aws:SourceAccount': account } });
    assert.deepEqual(await admits(from(principal.accountId)), [true, true]);
    assert.deepEqual(await admits(from(otherAccountId)), [true, false]);
  });

  test('that is not admitted cannot open the authority', async () => {
    const { certificateAuthorities } = server.subject;
    arn = await server.subject.createRoot();
    assert.ok((await certificateAuthorities.openForConnector(arn)).authority);
    await putPolicy(statement('Deny', service).replaceAll('ARN', arn)).promise();
    await assert.rejects(certificateAuthorities.openForConnector(arn), { name: 'CaError', reason: 'PRIVATECA_ACCESS_DENIED' });
    assert.ok((await certificateAuthorities.openAuthority(arn)).authority);
  });
});

describe('a permission', () => {
  const request = () => ({ CertificateAuthorityArn: arn, Principal: 'acm.amazonaws.com' });
  const Actions = ['IssueCertificate', 'GetCertificate', 'ListPermissions'];

  test('is given once, listed and taken away', async () => {
    const { client } = server;
    await client.createPermission({ ...request(), Actions }).promise();
    assert.match(await refusalOf(client.createPermission({ ...request(), Actions })), /^PermissionAlreadyExistsException: /);
    const { Permissions = [], NextToken } = await client.listPermissions({ CertificateAuthorityArn: arn }).promise();
    const [{ CreatedAt, ...permission } = {}] = Permissions;
    assert.deepEqual(permission, { ...request(), SourceAccount: principal.accountId, Actions });
    assert.ok(CreatedAt instanceof Date);
    assert.equal(NextToken, undefined);
    await client.deletePermission({ ...request(), SourceAccount: principal.accountId }).promise();
    assert.deepEqual((await client.listPermissions({ CertificateAuthorityArn: arn }).promise()).Permissions, []);
    assert.match(await refusalOf(client.deletePermission(request())), /^ResourceNotFoundException: /);
  });

  test('is for AWS Certificate Manager in the calling account alone', async () => {
    const { client } = server;
    const others = { ...request(), Principal: 'ec2.amazonaws.com' };
    assert.match(await refusalOf(client.createPermission({ ...others, Actions })), /^ValidationException: The only valid principal/);
    assert.match(await refusalOf(client.deletePermission(others)), /^ValidationException: The only valid principal/);
    const elsewhere = { ...request(), SourceAccount: otherAccountId, Actions };
    assert.match(await refusalOf(client.createPermission(elsewhere)), /^ValidationException: SourceAccount must be/);
    const nothing = { ...request(), Actions: [] };
    assert.match(await refusalOf(client.createPermission(nothing)), /^ValidationException: .*greater than or equal to 1/);
  });
});

describe('tags', () => {
  const tags = (...pairs: [Key: string, Value?: string][]): ACMPCA.TagList =>
    pairs.map(([Key, Value]) => ({ Key, ...(Value !== undefined && { Value }) }));
  const tag = (Tags: ACMPCA.TagList) => server.client.tagCertificateAuthority({ CertificateAuthorityArn: arn, Tags });
  const untag = (Tags: ACMPCA.TagList) => server.client.untagCertificateAuthority({ CertificateAuthorityArn: arn, Tags });
  const list = (page: Partial<ACMPCA.ListTagsRequest> = {}) => server.client.listTags({ CertificateAuthorityArn: arn, ...page }).promise();

  test('are added, overwritten and removed, one with a value only when it has that value', async () => {
    await tag(tags(['a', '1'], ['b', '2'], ['c'])).promise();
    await tag(tags(['b', '3'])).promise();
    assert.deepEqual((await list()).Tags, tags(['a', '1'], ['b', '3'], ['c', '']));
    await untag(tags(['a'], ['b', '2'], ['c', ''], ['none'])).promise();
    assert.deepEqual((await list()).Tags, tags(['b', '3']));
  });

  test('are listed in pages, with tokens that are for this list alone', async () => {
    await tag(tags(['a', '1'], ['b', '2'], ['c', '3'])).promise();
    const first = await list({ MaxResults: 2 });
    assert.deepEqual(first.Tags, tags(['a', '1'], ['b', '2']));
    const NextToken = first.NextToken ?? '';
    assert.deepEqual((await list({ MaxResults: 2, NextToken })).Tags, tags(['c', '3']));
    const refused = server.client.listPermissions({ CertificateAuthorityArn: arn, NextToken });
    assert.match(await refusalOf(refused), /^InvalidNextTokenException: /);
  });

  test('are fifty at most, each key once in a request and none of AWS’s', async () => {
    const fifty = Array.from({ length: 50 }, (_, n): [string, string] => [`key-${n}`, 'v']);
    await tag(tags(...fifty)).promise();
    assert.match(await refusalOf(tag(tags(['key-51', '']))), /^TooManyTagsException: /);
    await tag(tags(['key-1', 'changed'])).promise();
    assert.match(await refusalOf(tag(tags(...fifty, ['key-51', '']))), /^ValidationException: /);
    assert.match(await refusalOf(tag(tags(['a', '1'], ['a', '2']))), /^InvalidTagException: /);
    assert.match(await refusalOf(tag(tags(['AWS:a', '']))), /^InvalidTagException: /);
    assert.match(await refusalOf(untag(tags(['aws:a']))), /^InvalidTagException: /);
    assert.match(await refusalOf(tag(tags(['a!', '']))), /^ValidationException: /);
  });
});

describe('ListCertificateAuthorities', () => {
  async function listAll(client: ACMPCA, request: ACMPCA.ListCertificateAuthoritiesRequest): Promise<(string | undefined)[]> {
    const arns: (string | undefined)[] = [];
    let NextToken: string | undefined;
    do {
      const page = await client.listCertificateAuthorities({ ...request, ...(NextToken && { NextToken }) }).promise();
      arns.push(...(page.CertificateAuthorities ?? []).map(({ Arn }) => Arn));
      NextToken = page.NextToken;
    } while (NextToken);
    return arns;
  }

  test('gives every authority of the account once, in pages of any size', async () => {
    const all = await listAll(server.client, {});
    assert.ok(all.includes(arn));
    assert.equal(new Set(all).size, all.length);
    assert.deepEqual(await listAll(server.client, { MaxResults: 2, ResourceOwner: 'SELF' }), all);
    assert.deepEqual(await listAll(server.otherAccountsClient, {}), []);
  });

  test('gives of other accounts’ those that their policies let the caller see', async () => {
    const visible: string[] = [];
    for (let n = 0; n < 5; n += 1) {
      arn = await server.create();
      const isVisible = n % 2 === 0;
      await putPolicy(isVisible ? shared() : policyFor({ AWS: otherAccountId }, 'acm-pca:IssueCertificate')).promise();
      if (isVisible) visible.push(arn);
    }
    const listed = await listAll(server.otherAccountsClient, { ResourceOwner: 'OTHER_ACCOUNTS', MaxResults: 1 });
    for (const each of visible) assert.ok(listed.includes(each));
    const caIds = listed.map(each => each?.slice(-36) ?? '');
    for (const caId of caIds) {
      const row = await findCertificateAuthorityById(server.subject.database.query, caId);
      assert.match(row?.policy ?? '', /DescribeCertificateAuthority/);
    }
    assert.deepEqual(await listAll(server.client, { ResourceOwner: 'OTHER_ACCOUNTS' }), []);
  });

  test('takes a token only with the filter it was given for', async () => {
    await server.create();
    const { NextToken = '' } = await server.client.listCertificateAuthorities({ MaxResults: 1 }).promise();
    const other = server.client.listCertificateAuthorities({ ResourceOwner: 'OTHER_ACCOUNTS', NextToken });
    assert.match(await refusalOf(other), /^InvalidNextTokenException: /);
  });
});
