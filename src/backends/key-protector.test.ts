/** Tests of sealing, MACs and the master key's file. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { realSystem } from '../base/system.ts';
import {
  KeyProtectorError,
  LocalKeyProtector,
  loadMasterKey,
  makeMasterKeyCheck,
  parseMasterKey,
  verifyMasterKey,
} from './key-protector.ts';

const system = realSystem;
const directory = await mkdtemp(join(tmpdir(), 'scep-key-'));
after(() => rm(directory, { recursive: true }));

const masterKey = Uint8Array.from({ length: 32 }, (_, n) => n);
const protector = new LocalKeyProtector(masterKey, system);
const another = new LocalKeyProtector(masterKey.toReversed(), system);
const secret = Buffer.from('a private key');

function refusal(words: RegExp): (error: unknown) => boolean {
  return error => {
    assert.ok(error instanceof KeyProtectorError);
    assert.match(error.message, words);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  };
}

test('a sealed value opens under its key and context, also in another process', async () => {
  const restarted = new LocalKeyProtector(masterKey, system);
  for (const plaintext of [secret, Buffer.alloc(0), randomBytes(5000)]) {
    const sealed = await protector.seal(plaintext, 'challenges/1');
    assert.equal(sealed.length, 1 + 12 + plaintext.length + 16);
    assert.deepEqual(await restarted.unseal(sealed, 'challenges/1'), plaintext);
  }
});

test('the same value is sealed differently each time', async () => {
  assert.notDeepEqual(await protector.seal(secret, 'challenges/1'), await protector.seal(secret, 'challenges/1'));
});

test('a sealed value does not open under another key or in another row', async () => {
  const sealed = await protector.seal(secret, 'challenges/1');
  await assert.rejects(another.unseal(sealed, 'challenges/1'), refusal(/challenges\/1 does not open/));
  await assert.rejects(protector.unseal(sealed, 'challenges/2'), refusal(/challenges\/2 does not open/));
});

test('no changed byte and no cut of a sealed value opens', async () => {
  const sealed = await protector.seal(secret, 'challenges/1');
  for (let at = 0; at < sealed.length; at++) {
    const changed = Uint8Array.from(sealed, (byte, index) => (index === at ? byte ^ 1 : byte));
    await assert.rejects(protector.unseal(changed, 'challenges/1'), KeyProtectorError);
    await assert.rejects(protector.unseal(sealed.subarray(0, at), 'challenges/1'), KeyProtectorError);
  }
});

test('a MAC depends on the data, the purpose and the master key, and on nothing else', async () => {
  const mac = await protector.mac(secret, 'challenge-password/1');
  assert.equal(mac.length, 32);
  assert.deepEqual(await new LocalKeyProtector(masterKey, system).mac(secret, 'challenge-password/1'), mac);
  for (const other of [
    protector.mac(Buffer.from('another'), 'challenge-password/1'),
    protector.mac(secret, 'challenge-password/2'),
    another.mac(secret, 'challenge-password/1'),
  ]) {
    assert.notDeepEqual(await other, mac);
  }
});

test('the stored check tells the right master key from a wrong one', async () => {
  const check = await makeMasterKeyCheck(protector);
  await verifyMasterKey(new LocalKeyProtector(masterKey, system), check);
  await assert.rejects(
    verifyMasterKey(another, check),
    refusal(/not the one this database was sealed under.*SCEP_MASTER_KEY.*nothing was changed/),
  );
});

test('a master key is exactly 32 bytes of base64', () => {
  const text = Buffer.from(masterKey).toString('base64');
  assert.deepEqual([...parseMasterKey(` ${text}\n`)], [...masterKey]);
  for (const wrong of [
    '',
    text.slice(4),
    `${text}AAAA`,
    text.replace('=', ''),
    `${text.slice(0, 40)}!!!=`,
    Buffer.from(masterKey).toString('hex'),
  ]) {
    assert.throws(() => parseMasterKey(wrong), refusal(/32 bytes in base64/));
  }
  assert.throws(() => new LocalKeyProtector(masterKey.subarray(1), system), refusal(/32 bytes/));
});

test('a missing master key is made once, for its owner only, with nothing left beside it', async () => {
  const file = join(directory, 'made.key');
  const made = await Promise.all(Array.from({ length: 8 }, () => loadMasterKey(file, { system, create: true })));
  for (const key of made) assert.deepEqual(key, made[0]);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.deepEqual(await loadMasterKey(file, { system, create: false }), made[0]);
  assert.deepEqual(
    (await readdir(directory)).filter(name => name.startsWith('made.key')),
    ['made.key'],
  );
});

test('a master key that another process made meanwhile is used and not overwritten', async () => {
  const file = join(directory, 'raced.key');
  const content = Buffer.from(masterKey).toString('base64');
  const racedSystem = {
    ...system,
    randomBytes(size: number) {
      writeFileSync(file, content, { mode: 0o600 });
      return system.randomBytes(size);
    },
  };
  assert.deepEqual([...(await loadMasterKey(file, { system: racedSystem, create: true }))], [...masterKey]);
  assert.equal(await readFile(file, 'utf8'), content);
});

test('a missing master key of an existing database is refused and not made', async () => {
  const file = join(directory, 'lost.key');
  await assert.rejects(loadMasterKey(file, { system, create: false }), refusal(/lost\.key is missing.*Restore/));
  await assert.rejects(stat(file), { code: 'ENOENT' });
});

test('a file that holds no master key is refused and stays as it is', async () => {
  const file = join(directory, 'wrong.key');
  for (const content of ['', 'AAAA\n', 'not a key']) {
    await writeFile(file, content, { mode: 0o600 });
    await assert.rejects(loadMasterKey(file, { system, create: true }), refusal(/wrong\.key does not hold a master key/));
    assert.equal(await readFile(file, 'utf8'), content);
  }
});

test('a master key that other users may read is refused with what to do', async () => {
  const file = join(directory, 'open.key');
  await loadMasterKey(file, { system, create: true });
  for (const mode of [0o640, 0o604, 0o644]) {
    await chmod(file, mode);
    await assert.rejects(loadMasterKey(file, { system, create: false }), refusal(/chmod 600 .*open\.key/));
  }
});

test('a master key that cannot be read or made is refused with the reason', async () => {
  await assert.rejects(loadMasterKey(join(directory, 'absent', 'a.key'), { system, create: true }), refusal(/cannot be made \(ENOENT\)/));
  const place = await mkdtemp(join(directory, 'folder-'));
  await assert.rejects(loadMasterKey(place, { system, create: true }), refusal(/cannot be read \(EISDIR\)/));
});
