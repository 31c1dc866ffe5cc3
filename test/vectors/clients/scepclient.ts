/** Captures micromdm's `scepclient`, which knows single DES and SHA-1 alone. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../support/run-program.ts';
import { identity } from '../../support/vector-identities.ts';
import type { ConnectorName } from '../../support/vector-store.ts';
import type { VectorWorld } from '../../support/vector-world.ts';
import { both, Capture, type Expected, inDirectory, success } from './capture.ts';

export async function captureScepclient(world: VectorWorld): Promise<void> {
  const runs: [connector: ConnectorName, name: string, Expected][] = [
    ['default', 'scepclient', both('1.3.14.3.2.7 (DES-CBC)')],
    ['legacy', 'scepclient-legacy', success],
  ];
  for (const [connector, name, expected] of runs) {
    await using capture = await Capture.open(world, connector);
    await inDirectory(async directory => {
      const key = identity('device').privateKey.export({ format: 'pem', type: 'pkcs1' });
      await writeFile(join(directory, 'client.key'), key, { mode: 0o600 });
      const files = ['-private-key', 'client.key', '-certificate', 'client.crt'];
      const args = ['-server-url', capture.url, '-challenge', capture.challenge, '-cn', 'device-1', ...files];
      await runProgram('scepclient', args, { cwd: directory });
      capture.keep(name, 'scepclient 2.1.0: single DES and SHA-1, to every certificate of GetCACert', expected);
    });
  }
}
