/** The environment is read whole: every setting, every mistake at once, and the document that lists them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { microsoftClouds } from './base/microsoft-clouds.ts';
import { ConfigError, describeConfig, parseConfig } from './config.ts';
import { allSettings } from './settings.ts';

type Environment = Record<string, string | undefined>;

const masterKey = 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=';

function mistakesOf(env: Environment): readonly string[] {
  try {
    parseConfig(env);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.mistakes;
  }
  return assert.fail('this environment has no mistake');
}

describe('parseConfig', () => {
  it('needs no setting at all', () => {
    const { config, secrets } = parseConfig({});
    const { workers, quotas, ...rest } = config;
    assert.deepEqual(rest, {
      dataDir: resolve('data'),
      store: { engine: 'sqlite', file: resolve('data/scep.db') },
      apiListen: { host: '127.0.0.1', port: 8080 },
      enrollListen: { host: '127.0.0.1', port: 8081 },
      enrollTlsListen: { host: '127.0.0.1', port: 8443 },
      publicUrl: 'https://localhost:8443',
      region: 'us-east-1',
      account: '000000000000',
      bootstrap: true,
      compatibility: 'clients',
      logLevel: 'info',
      logFormat: 'auto',
      caKeyAlgorithm: 'RSA_2048',
      vpcEndpoints: new Map(),
      trustedProxies: new Map(),
      publicationUrl: 'http://localhost:8081',
      auditRetentionDays: 90,
      microsoft: microsoftClouds.public,
    });
    assert.equal(quotas.resources.CONNECTORS, 20);
    assert.equal(quotas.rates.CreateChallenge, 5);
    assert.equal(quotas.connectorRates.PKCSReq, Number.POSITIVE_INFINITY);
    assert.equal(parseConfig({ SCEP_COMPATIBILITY: 'aws' }).config.quotas.connectorRates.PKCSReq, 10);
    assert.equal(parseConfig({ SCEP_COMPATIBILITY: 'aws', SCEP_RATE_PKCS_REQ: '3' }).config.quotas.connectorRates.PKCSReq, 3);
    assert.ok(workers >= 1 && workers <= 64);
    assert.deepEqual(secrets, { masterKeyFile: resolve('data/master.key') });
  });

  it('takes every setting', () => {
    const { config, secrets } = parseConfig({
      SCEP_DATA_DIR: '/var/lib/scep',
      SCEP_STORE: 'sqlite',
      SCEP_API_LISTEN: '[::1]:0',
      SCEP_ENROLL_LISTEN: 'off',
      SCEP_ENROLL_TLS_LISTEN: '0.0.0.0:443',
      SCEP_TLS_CERT: '/etc/scep/tls.pem',
      SCEP_TLS_KEY: '/etc/scep/tls.key',
      SCEP_PUBLIC_URL: 'https://scep.example.com/enrol/',
      SCEP_REGION: 'eu-central-1',
      SCEP_ACCOUNT: '111122223333',
      SCEP_BOOTSTRAP: 'off',
      SCEP_COMPATIBILITY: 'clients',
      SCEP_MASTER_KEY: masterKey,
      SCEP_WORKERS: '64',
      SCEP_LOG_LEVEL: 'debug',
      SCEP_LOG_FORMAT: 'pretty',
      SCEP_CA_KEY_ALGORITHM: 'EC_secp384r1',
      SCEP_VPC_ENDPOINTS: 'vpce-01234567=https://scep.plant.example:9443/,vpce-0123456789abcdef0',
      SCEP_TRUSTED_PROXIES: '10.0.0.5, 2001:db8:7::/48',
      SCEP_PUBLICATION_URL: 'http://pki.example.com/',
      SCEP_AUDIT_FILE: '/var/log/scep/audit.json',
      SCEP_AUDIT_RETENTION_DAYS: 'off',
      SCEP_MICROSOFT_CLOUD: 'china',
      SCEP_ENTRA_URL: 'https://login.example.cn/',
      SCEP_GRAPH_URL: 'http://127.0.0.1:8090',
      SCEP_INTUNE_RESOURCE: 'https://api.manage.example.cn/',
      SCEP_INTUNE_HOSTS: 'manage.example.cn, 127.0.0.1',
      SCEP_ENTRA_AUDIENCE: 'api://Example',
      SCEP_QUOTA_CONNECTORS: '1000',
      SCEP_RATE_ISSUE_CERTIFICATE: 'off',
    });
    const { quotas, ...rest } = config;
    assert.equal(quotas.resources.CONNECTORS, 1000);
    assert.equal(quotas.resources.CHALLENGES, 5);
    assert.equal(quotas.rates.IssueCertificate, Number.POSITIVE_INFINITY);
    assert.deepEqual(rest, {
      dataDir: '/var/lib/scep',
      store: { engine: 'sqlite', file: '/var/lib/scep/scep.db' },
      apiListen: { host: '::1', port: 0 },
      enrollTlsListen: { host: '0.0.0.0', port: 443 },
      tlsFiles: { certificate: '/etc/scep/tls.pem', key: '/etc/scep/tls.key' },
      publicUrl: 'https://scep.example.com/enrol',
      region: 'eu-central-1',
      account: '111122223333',
      bootstrap: false,
      compatibility: 'clients',
      workers: 64,
      logLevel: 'debug',
      logFormat: 'pretty',
      caKeyAlgorithm: 'EC_secp384r1',
      vpcEndpoints: new Map([
        ['vpce-01234567', 'https://scep.plant.example:9443'],
        ['vpce-0123456789abcdef0', undefined],
      ]),
      trustedProxies: new Map([
        ['10.0.0.5', { address: [10, 0, 0, 5], prefixBits: 32 }],
        ['2001:db8:7::/48', { address: [0x20, 0x01, 0x0d, 0xb8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], prefixBits: 48 }],
      ]),
      publicationUrl: 'http://pki.example.com',
      auditFile: '/var/log/scep/audit.json',
      auditRetentionDays: Number.POSITIVE_INFINITY,
      microsoft: {
        entraUrl: 'https://login.example.cn',
        graphUrl: 'http://127.0.0.1:8090',
        intuneResource: 'https://api.manage.example.cn',
        intuneHosts: ['manage.example.cn', '127.0.0.1'],
        tokenExchangeAudience: 'api://Example',
      },
    });
    assert.deepEqual(secrets, { masterKey, masterKeyFile: '/var/lib/scep/master.key' });
  });

  it('takes the master key from a file that is named', () => {
    assert.deepEqual(parseConfig({ SCEP_MASTER_KEY_FILE: '/run/secrets/master' }).secrets, { masterKeyFile: '/run/secrets/master' });
  });

  it('has the places of each of Microsoft’s clouds, and asks for what China’s does not say', () => {
    const cloud = (env: Record<string, string>) => parseConfig(env).config.microsoft;
    assert.equal(cloud({ SCEP_MICROSOFT_CLOUD: 'us-government' }).tokenExchangeAudience, 'api://AzureADTokenExchangeUSGov');
    assert.equal(cloud({ SCEP_MICROSOFT_CLOUD: 'us-government-dod' }).graphUrl, 'https://dod-graph.microsoft.us');
    assert.throws(() => cloud({ SCEP_MICROSOFT_CLOUD: 'china' }), /SCEP_INTUNE_RESOURCE and SCEP_INTUNE_HOSTS/);
  });

  it('gives a configuration that nobody can change', () => {
    const { config, secrets } = parseConfig({ SCEP_TLS_CERT: 'c.pem', SCEP_TLS_KEY: 'k.pem' });
    const parts = [config, secrets, config.store, config.apiListen, config.enrollListen, config.enrollTlsListen, config.tlsFiles];
    assert.ok(parts.every(part => part !== undefined && Object.isFrozen(part)));
  });

  it('ignores what is not its own: other names and those of the test harness', () => {
    parseConfig({ PATH: '/bin', SCEPTRE: 'x', SCEP_TEST_REQUIRE_ALL: '1' });
  });
});

describe('a mistake', () => {
  const wrong: Record<string, string[]> = {
    SCEP_MICROSOFT_CLOUD: ['Public', 'germany', 'us'],
    SCEP_ENTRA_URL: ['http://login.example.com', 'login.example.com', 'https://a@login.example.com', 'http://127.0.0.1.example.com'],
    SCEP_INTUNE_HOSTS: ['https://manage.microsoft.com', 'a b', '*.manage.microsoft.com', '.com'],
    SCEP_ENTRA_AUDIENCE: ['a b', 'ä'],
    SCEP_STORE: ['mysql', 'SQLITE'],
    SCEP_TRUSTED_PROXIES: ['proxy.example.com', '10.0.0.0/33', '10.0.0.5,', '10.0.0.5;10.0.0.6', '0.0.0.0/0', '::/0', 'fe80::1%eth0'],
    SCEP_API_LISTEN: ['8080', ':8080', '127.0.0.1:', '127.0.0.1:65536', 'off', 'http://127.0.0.1:8080', '::1:8080'],
    SCEP_ENROLL_LISTEN: ['8081', 'OFF', 'on'],
    SCEP_ENROLL_TLS_LISTEN: ['127.0.0.1'],
    SCEP_PUBLIC_URL: ['scep.example.com', 'ftp://h', 'https://h?', 'https://h#', 'https://h/?x=1', 'https://h/#x', 'https://u:p@h/'],
    SCEP_REGION: ['europe', 'US-EAST-1', 'us-east-0'],
    SCEP_ACCOUNT: ['1', '12345678901x', '1234567890123'],
    SCEP_BOOTSTRAP: ['yes'],
    SCEP_COMPATIBILITY: ['AWS', 'strict'],
    SCEP_MASTER_KEY: ['secret', `${masterKey}=`, masterKey.replaceAll('M', '-')],
    SCEP_WORKERS: ['0', '65', '1.5', '-1', 'two', '1e1'],
    SCEP_LOG_LEVEL: ['verbose'],
    SCEP_LOG_FORMAT: ['auto'],
    SCEP_CA_KEY_ALGORITHM: ['RSA_1024', 'rsa_2048', 'ML_DSA_65'],
    SCEP_VPC_ENDPOINTS: ['vpce-1', 'vpce-0123456G', 'vpce-01234567=ftp://h', 'vpce-01234567,vpce-01234567=https://h', ',', 'https://h'],
    SCEP_PUBLICATION_URL: ['pki.example.com', 'ldap://h'],
    SCEP_AUDIT_RETENTION_DAYS: ['0', '-1', '1.5', 'ever'],
    SCEP_QUOTA_CHALLENGES: ['0', '-1', 'none', '1e3', '1234567890'],
    SCEP_RATE_CREATE_CHALLENGE: ['0', '0.5'],
    SCEP_RATE_GET_CA_CERT: ['0', 'on'],
  };

  for (const [name, texts] of Object.entries(wrong)) {
    it(`in ${name} is named with what to write instead`, () => {
      for (const text of texts) {
        const mistakes = mistakesOf({ [name]: text });
        assert.equal(mistakes.length, 1, text);
        assert.match(mistakes[0] ?? '', new RegExp(`^${name}\\b.*: (?:.* )?write .*\\.$`), text);
      }
    });
  }

  it('is reported with all the others at once', () => {
    const mistakes = mistakesOf({ SCEP_REGION: 'x', SCEP_ACCOUNT: 'y', SCEP_WORKERS: '', SCEP_TLS_KEY: 'k.pem', SCEP_DATADIR: '/d' });
    assert.deepEqual(
      mistakes.map(mistake => mistake.split(' ')[0]),
      ['SCEP_REGION', 'SCEP_ACCOUNT', 'SCEP_WORKERS', 'SCEP_DATADIR', 'SCEP_TLS_CERT'],
    );
  });

  it('is an empty value, for a name that is set and says nothing', () => {
    assert.deepEqual(mistakesOf({ SCEP_DATA_DIR: '' }), ['SCEP_DATA_DIR is empty: give it a value or unset it.']);
  });

  it('is an unknown name, answered with its near misses', () => {
    assert.deepEqual(mistakesOf({ SCEP_WORKER: '2' }), ['SCEP_WORKER is not a setting: did you mean SCEP_WORKERS?']);
    assert.deepEqual(mistakesOf({ SCEP_TLS_CRT: 'c.pem' }), ['SCEP_TLS_CRT is not a setting: did you mean SCEP_TLS_CERT or SCEP_TLS_KEY?']);
    assert.deepEqual(mistakesOf({ SCEP_XYZZY_PLUGH_PLOVER: '' }), [
      'SCEP_XYZZY_PLUGH_PLOVER is not a setting: docs/configuration.md lists them all.',
    ]);
  });

  it('is a name that every object has', () => {
    assert.equal(mistakesOf({ SCEP_constructor: 'x' }).length, 1);
  });

  it('is PostgreSQL, which this version does not have, and its password stays private', () => {
    const [mistake = ''] = mistakesOf({ SCEP_STORE: 'postgres://scep:hunter2@db/scep' });
    assert.match(mistake, /^SCEP_STORE: PostgreSQL is not in this version/);
    assert.doesNotMatch(mistake, /hunter2/);
  });

  it('never shows a secret', () => {
    const env = { SCEP_MASTER_KEY: 'hunter2', SCEP_PUBLIC_URL: 'https://u:hunter2@h', SCEP_MASTERKEY: 'hunter2' };
    assert.doesNotMatch(mistakesOf(env).join('\n'), /hunter2/);
  });

  it('is half a pair of TLS files', () => {
    assert.match(mistakesOf({ SCEP_TLS_CERT: 'c.pem' })[0] ?? '', /set both or neither/);
  });

  it('is a master key given twice', () => {
    assert.match(mistakesOf({ SCEP_MASTER_KEY: masterKey, SCEP_MASTER_KEY_FILE: 'f' })[0] ?? '', /exclude each other/);
  });

  it('is one address for two listeners', () => {
    assert.match(
      mistakesOf({ SCEP_ENROLL_LISTEN: '127.0.0.1:8080' })[0] ?? '',
      /^SCEP_API_LISTEN and SCEP_ENROLL_LISTEN are the same address/,
    );
  });
});

describe('describeConfig', () => {
  it('is an environment that gives the same configuration', () => {
    const env = {
      SCEP_API_LISTEN: '[::1]:9000',
      SCEP_ENROLL_LISTEN: 'off',
      SCEP_TLS_CERT: 'c.pem',
      SCEP_TLS_KEY: 'k.pem',
      SCEP_BOOTSTRAP: 'off',
      SCEP_VPC_ENDPOINTS: 'vpce-01234567=https://scep.plant.example:9443,vpce-0123456789abcdef0',
      SCEP_AUDIT_FILE: '/var/log/scep/audit.json',
      SCEP_AUDIT_RETENTION_DAYS: 'off',
      SCEP_MICROSOFT_CLOUD: 'china',
      SCEP_ENTRA_URL: 'https://login.example.cn/',
      SCEP_GRAPH_URL: 'http://127.0.0.1:8090',
      SCEP_INTUNE_RESOURCE: 'https://api.manage.example.cn/',
      SCEP_INTUNE_HOSTS: 'manage.example.cn, 127.0.0.1',
      SCEP_ENTRA_AUDIENCE: 'api://Example',
      SCEP_QUOTA_CONNECTORS: '1000',
      SCEP_RATE_ISSUE_CERTIFICATE: 'off',
    };
    const { config } = parseConfig(env);
    const described = describeConfig(config)
      .split('\n')
      .map(line => line.split(/=(.*)/, 2));
    assert.deepEqual(parseConfig(Object.fromEntries(described)).config, config);
  });

  it('never shows a secret', () => {
    assert.ok(!describeConfig(parseConfig({ SCEP_MASTER_KEY: masterKey }).config).includes(masterKey));
  });
});

describe('docs/configuration.md', () => {
  const text = readFileSync(join(import.meta.dirname, '../docs/configuration.md'), 'utf8');

  it('lists the settings with their defaults and meanings, in the order of the table, and no other', () => {
    const rows = Object.entries(allSettings).map(([name, setting]) => {
      const value = setting.default === undefined ? (setting.defaultMeaning ?? 'not set') : `\`${setting.default}\``;
      return `| \`${name}\` | ${value} | ${setting.meaning} |`;
    });
    assert.deepEqual(
      text.split('\n').filter(line => line.startsWith('| `SCEP_')),
      rows,
    );
  });
});
