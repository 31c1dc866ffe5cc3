/** The command line itself: wrong usage, help, and `check-config`. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };
import { runCommand } from '../support/command.ts';

const nowhere = ['--url', 'http://127.0.0.1:1/', '--challenge', 'x'];

describe('Wrong usage', { concurrency: 2 }, () => {
  const lines: [name: string, args: string[], complaint: RegExp][] = [
    ['an unknown command', ['enrol'], /unknown command 'enrol'/],
    ['an unknown option', ['serve', '--port', '80'], /unknown option '--port'/],
    ['an argument too many', ['serve', 'now'], /too many arguments/],
    ['a required option left out', ['enroll'], /required option '--url <url>'/],
    ['an option without its value', ['doctor', '--url'], /option '--url <url>' argument missing/],
    ['no subject', ['enroll', ...nowhere], /--subject is missing/],
    ['a renewal without the certificate', ['enroll', ...nowhere, '--renew'], /--renew needs --cert FILE and --key-file FILE/],
    ['an argument left out', ['access-key', 'delete'], /missing required argument 'access-key-id'/],
    [
      'a duration that is none',
      ['access-key', 'create', '--duration', 'long'],
      /--duration .*'long' is invalid\. Write a number and s, m or h/,
    ],
    ['a URL that is none', ['enroll', '--url', 'connector', '--subject', 'CN=a'], /http:\/\//],
    ['a key that is none', ['enroll', ...nowhere, '--subject', 'CN=a', '--key', 'ec:256'], /--key must be rsa:BITS/],
    ['a subject that is none', ['enroll', ...nowhere, '--subject', 'printer-7'], /printer-7/],
    ['a name that is none', ['enroll', ...nowhere, '--subject', 'CN=a', '--san', 'printer-7'], /--san "printer-7" must be/],
    ['a fingerprint that is none', ['enroll', ...nowhere, '--subject', 'CN=a', '--ca-fingerprint', 'ff'], /--ca-fingerprint must be/],
  ];
  for (const [name, args, complaint] of lines) {
    it(`is ${name}: status 2 and one line on stderr`, async () => {
      const { status, stdout, stderr } = await runCommand(args);
      assert.match(stderr, complaint);
      assert.match(stderr, /^scep-connector: [^\n]+\n$/);
      assert.doesNotMatch(stderr, /\.\./);
      assert.equal(stdout, '');
      assert.equal(status, 2);
    });
  }

  it('is no command at all: status 2 and the help on stderr', async () => {
    const { status, stdout, stderr } = await runCommand([]);
    assert.equal(status, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /^Usage: scep-connector .*serve /s);
  });
});

describe('--help and --version', () => {
  const commands = ['serve', 'enroll', 'doctor', 'check-config', 'access-key'];

  it('list every command', async () => {
    const { status, stdout, stderr } = await runCommand(['--help']);
    assert.equal(status, 0);
    assert.equal(stderr, '');
    for (const name of commands) assert.match(stdout, new RegExp(`^  ${name}\\b`, 'm'));
  });

  it('are answered by every command', async () => {
    const answer = async (name: string) => {
      const { status, stdout } = await runCommand([name, '--help']);
      assert.equal(status, 0);
      assert.match(stdout, new RegExp(`^Usage: scep-connector ${name} `));
    };
    await Promise.all(commands.map(answer));
  });

  it('tell the version of the package', async () => {
    const { status, stdout } = await runCommand(['--version']);
    assert.equal(status, 0);
    assert.equal(stdout, `${packageJson.version}\n`);
  });
});

describe('check-config', () => {
  it('prints the effective configuration, which it takes back, and no secret', async () => {
    const masterKey = Buffer.alloc(32, 7).toString('base64');
    const settings = { SCEP_DATA_DIR: '/srv/scep', SCEP_ENROLL_LISTEN: 'off', SCEP_API_LISTEN: '[::1]:9000', SCEP_MASTER_KEY: masterKey };
    const { status, stdout, stderr } = await runCommand(['check-config'], { settings });
    assert.equal(status, 0, stderr);
    assert.ok(!stdout.includes(masterKey));
    const printed = Object.fromEntries(
      stdout
        .trimEnd()
        .split('\n')
        .map(line => line.split('=', 2)),
    );
    const { SCEP_MASTER_KEY: _hidden, ...shown } = settings;
    assert.deepEqual({ ...printed, ...shown }, printed);
    assert.equal(printed.SCEP_PUBLIC_URL, 'https://localhost:8443');
    assert.equal((await runCommand(['check-config'], { settings: printed })).stdout, stdout);
  });

  it('lists every mistake and fails', async () => {
    const settings = { SCEP_ACCOUNT: '1', SCEP_WORKERS: 'many', SCEP_DATADIR: '/srv/scep' };
    const { status, stdout, stderr } = await runCommand(['check-config'], { settings });
    assert.equal(status, 1);
    assert.equal(stdout, '');
    assert.deepEqual(stderr.split('\n'), [
      'scep-connector: SCEP_ACCOUNT is "1": write 12 digits.',
      'scep-connector: SCEP_WORKERS is "many": write a whole number from 1 to 64.',
      'scep-connector: SCEP_DATADIR is not a setting: did you mean SCEP_DATA_DIR?',
      '',
    ]);
  });
});
