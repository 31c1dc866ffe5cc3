/** The PEM files of the HTTPS listener: read, held against each other, and read again when they change. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Log } from '../base/events.ts';
import { StartError, systemErrorCode } from '../base/start-error.ts';

const renewBeforeMs = 30 * 86_400_000;
const pollMs = 5000;

/** Paths. */
export interface TlsFiles {
  certificate: string;
  key: string;
}

/** Throws StartError, naming the setting, when a file cannot be read, is not what it should be, or does not fit the other. */
export async function readTlsFiles(files: TlsFiles): Promise<{ certificate: string; key: string }> {
  const certificate = await readPem('SCEP_TLS_CERT', files.certificate);
  const key = await readPem('SCEP_TLS_KEY', files.key);
  const parsedCertificate = parseAs(
    `SCEP_TLS_CERT: ${files.certificate} holds no certificate in PEM.`,
    () => new X509Certificate(certificate),
  );
  const parsedKey = parseAs(`SCEP_TLS_KEY: ${files.key} holds no private key in PEM without a passphrase.`, () => createPrivateKey(key));
  if (!parsedCertificate.checkPrivateKey(parsedKey)) {
    throw new StartError(`SCEP_TLS_KEY: ${files.key} is not the key of the first certificate in ${files.certificate}.`);
  }
  return { certificate, key };
}

async function readPem(setting: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new StartError(`${setting}: ${file} cannot be read (${systemErrorCode(cause)}).`, { cause });
  }
}

function parseAs<T>(message: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new StartError(message, { cause });
  }
}

/** Whether the certificate that we made earlier still serves: it is for this host and has a month left. */
export async function isTlsCertificateGood(files: TlsFiles, host: string, now: number): Promise<boolean> {
  try {
    const certificate = new X509Certificate((await readTlsFiles(files)).certificate);
    if (Date.parse(certificate.validTo) - renewBeforeMs <= now) return false;
    return (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host)) !== undefined;
  } catch {
    return false;
  }
}

/** A renewed certificate is taken up without a restart; files that do not fit each other are left alone until they do. Returns how to stop. */
export function watchTlsFiles(files: TlsFiles, replace: (material: { certificate: string; key: string }) => void, log: Log): () => void {
  const reload = async () => {
    try {
      replace(await readTlsFiles(files));
      log.info({ file: files.certificate }, 'the TLS certificate was reloaded');
    } catch (error) {
      log.error({ err: error }, 'the TLS certificate could not be reloaded; the old one stays in use');
    }
  };
  const onChange = () => void reload();
  const paths = [files.certificate, files.key];
  for (const path of paths) watchFile(path, { interval: pollMs, persistent: false }, onChange);
  return () => {
    for (const path of paths) unwatchFile(path, onChange);
  };
}
