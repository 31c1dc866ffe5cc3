/** The programs that some tests need beyond Node, and why a test without its program is skipped. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Each program with the Debian package that brings it: what `.ci/run` installs. */
export const packageByProgram = {
  'certmonger-session': 'certmonger',
  'dbus-run-session': 'dbus',
  getcert: 'certmonger',
  openssl: 'openssl',
  pki: 'strongswan-pki',
  scepclient: 'scep',
} as const;

export type Program = keyof typeof packageByProgram;

/** Programs that Debian keeps outside PATH. */
const folders = ['/usr/sbin', '/usr/lib/certmonger', '/usr/libexec/certmonger'];

/** For the `skip` option of a test: false, or the reason to skip it. Under SCEP_TEST_REQUIRE_ALL=1 a missing program is a failure. */
export function requireProgram(program: Program): string | false {
  if (findProgram(program)) return false;
  const reason = `${program} is missing (Debian package ${packageByProgram[program]})`;
  if (process.env['SCEP_TEST_REQUIRE_ALL'] === '1') throw new Error(reason);
  return reason;
}

/** The program's path, or undefined when it is not on this machine. */
export function findProgram(program: Program): string | undefined {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter(folder => folder !== '');
  return [...path, ...folders].map(folder => join(folder, program)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
