/** The control plane over the life of a server: the first CA by API opens HTTPS, compatibility with AWS from the first start, and the audit file through a rotation. */
import assert from 'node:assert/strict';
import { readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import ACMPCA from 'aws-sdk/clients/acmpca.js';
import { createApiClient, sharedCredentials } from '../support/api-client.ts';
import { createActiveAuthority, smallRoot } from '../support/authority-client.ts';
import {
  findFreePort,
  makeTemporaryDirectory,
  type ServerProcess,
  type Settings,
  startServer,
  type TemporaryDirectory,
} from '../support/command.ts';

let directory: TemporaryDirectory;
let dataDir: string;
let server: ServerProcess;
beforeEach(async () => {
  directory = await makeTemporaryDirectory();
  dataDir = join(directory.path, 'data');
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

async function start(settings: Settings = {}): Promise<void> {
  server = await startServer(dataDir, { settings });
}

const credentialsFile = () => join(dataDir, 'credentials');
const connectors = () => createApiClient(server.apiUrl, credentialsFile());

describe('a server that starts without a CA', () => {
  it('opens HTTPS enrolment once one is made by API, without a restart', async () => {
    const port = await findFreePort();
    await start({ SCEP_BOOTSTRAP: 'off', SCEP_ENROLL_TLS_LISTEN: `127.0.0.1:${port}` });
    const listening = `listening at https://127.0.0.1:${port}"`;
    assert.ok(!server.stderr.includes(listening));
    const credentials = sharedCredentials(credentialsFile());
    const client = new ACMPCA({ endpoint: server.apiUrl, region: 'us-east-1', maxRetries: 0, credentials });
    await createActiveAuthority(client, smallRoot);
    await server.until('HTTPS enrolment stays closed', () => server.stderr.includes(listening));
  });
});

describe('a first start under SCEP_COMPATIBILITY=aws', () => {
  it('gives its connector what a RAM share gives at AWS', async () => {
    await start({ SCEP_COMPATIBILITY: 'aws' });
    const { Connectors: [connector] = [] } = await connectors().listConnectors().promise();
    assert.equal(connector?.Status, 'ACTIVE');
  });
});

describe('the audit file', () => {
  it('goes on in a new file after a rotation and a SIGHUP, and no record is lost', async () => {
    const file = join(directory.path, 'audit.json');
    await start({ SCEP_AUDIT_FILE: file });
    const names = async (path: string): Promise<string[]> => {
      const text = await readFile(path, 'utf8').catch(() => '');
      return text
        .split('\n')
        .filter(line => line !== '')
        .map(line => (JSON.parse(line) as { eventName: string }).eventName);
    };
    await connectors().listConnectors().promise();
    const { Connectors: [connector] = [] } = await connectors().listConnectors().promise();
    const ConnectorArn = connector?.Arn ?? '';
    const { Challenge = {} } = await connectors().createChallenge({ ConnectorArn }).promise();
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    await rename(file, `${file}.1`);
    server.signal('SIGHUP');
    await server.until('the audit file was not opened anew', () => server.stderr.includes('the audit file was opened anew'));
    await connectors()
      .deleteChallenge({ ChallengeArn: Challenge.Arn ?? '' })
      .promise();
    await server.stop();
    const [old, fresh] = [await names(`${file}.1`), await names(file)];
    assert.deepEqual(old.filter(name => name === 'ListConnectors').length, 2);
    assert.equal(old.at(-1), 'CreateChallenge');
    assert.deepEqual(fresh, ['DeleteChallenge']);
    assert.ok(!(await readFile(`${file}.1`, 'utf8')).includes(String(Challenge.Password)));
  });
});
