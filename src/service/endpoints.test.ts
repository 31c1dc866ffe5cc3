/** A connector with a private endpoint is reached there and nowhere else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Endpoints } from './endpoints.ts';

const known = 'vpce-01234567';
const bare = 'vpce-0123456789abcdef0';
const endpoints = new Endpoints({
  publicUrl: 'https://scep.example.com',
  vpcEndpoints: new Map([
    [known, 'https://scep.plant.example:9443/enrol'],
    [bare, undefined],
    ['vpce-89abcdef', 'http://[fd00::1]'],
  ]),
});

describe('Endpoints', () => {
  it('gives each connector the URL that its own begins with', () => {
    assert.equal(endpoints.findBaseUrl(null), 'https://scep.example.com');
    assert.equal(endpoints.findBaseUrl(known), 'https://scep.plant.example:9443/enrol');
    assert.equal(endpoints.findBaseUrl(bare), undefined);
  });

  it('says in the words of StatusReason why there is none', () => {
    assert.equal(endpoints.findProblem(null), undefined);
    assert.equal(endpoints.findProblem(known), undefined);
    assert.equal(endpoints.findProblem(bare), 'VPC_ENDPOINT_DNS_ENTRIES_NOT_FOUND');
    assert.equal(endpoints.findProblem('vpce-ffffffff'), 'VPC_ENDPOINT_RESOURCE_NOT_FOUND');
  });

  it('lets a public connector answer at any host, and at none', () => {
    for (const host of ['scep.example.com', '10.0.0.1:8081', undefined, '::']) assert.ok(endpoints.isReachedAt(null, host));
  });

  it('lets a private one answer at its own host alone, however that is written', () => {
    for (const host of ['scep.plant.example:9443', 'SCEP.Plant.Example:9443']) assert.ok(endpoints.isReachedAt(known, host), host);
    const others = [
      'scep.plant.example',
      'scep.plant.example:443',
      'scep.example.com',
      'x.scep.plant.example:9443',
      '',
      ' ',
      '::',
      undefined,
    ];
    for (const host of others) assert.ok(!endpoints.isReachedAt(known, host), host);
    for (const host of ['[fd00::1]', '[fd00::1]:80', '[FD00:0::1]']) assert.ok(endpoints.isReachedAt('vpce-89abcdef', host), host);
  });

  it('lets one whose private endpoint is gone answer nowhere', () => {
    for (const id of [bare, 'vpce-ffffffff']) assert.ok(!endpoints.isReachedAt(id, 'scep.example.com'));
  });
});
