/** A device in the simulation: asks for a certificate as Intune's devices do, comes back when it is told to, and begins anew when it is refused or has waited too long. */
import { extKeyUsageExtension } from '../../src/base/pki/extensions.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { parseCertificationRequest } from '../../src/base/pki/pkcs10.ts';
import { PkiError } from '../../src/base/pki/pki-error.ts';
import { fingerprint } from '../../src/base/pki/x509.ts';
import type { EnrolmentOutcome, EnrolmentRequest } from '../../src/service/scep-requests.ts';
import type { Random } from '../fuzz/random.ts';
import type { Device as ManagedDevice, Profile } from '../support/microsoft/directory.ts';
import { rsaKey } from '../support/pki-fixtures.ts';
import { challengePassword, createDevice, encodeCsr, extensionRequest } from '../support/scep-messages.ts';
import { worldNow } from '../support/vector-identities.ts';
import type { IntuneWorld } from './intune-world.ts';

const minuteMs = 60_000;
/** Of one request; real devices come back less often. */
const attemptsMax = 8;
/** Making RSA keys is what would take the time. */
const keyNames = ['simulated-1', 'simulated-2', 'simulated-3'] as const;
const signers = new Map(
  keyNames.map(name => [
    name,
    createDevice(rsaKey(name), { notBefore: worldNow - minuteMs, notAfter: worldNow + 400 * 24 * 60 * minuteMs }),
  ]),
);

export interface Delivered {
  transactionID: string;
  fingerprint: string;
  certificate: Uint8Array;
}

export class SimulatedDevice {
  readonly name: string;
  /** What it was given, in order; the same request may be answered more than once. */
  readonly delivered: Delivered[] = [];
  /** When it does something next. */
  nextAt: number;
  /** How often it was refused, or gave up waiting. */
  restarts = 0;
  readonly #world: IntuneWorld;
  readonly #random: Random;
  readonly #managed: ManagedDevice;
  readonly #profile: Profile;
  #request: EnrolmentRequest | undefined;
  #attempts = 0;
  #requests = 0;
  #certificatesLeft: number;
  /** Whether it asks once more for what it has been given. */
  #asksAgain = false;

  constructor(name: string, world: IntuneWorld, random: Random) {
    this.name = name;
    this.#world = world;
    this.#random = random;
    this.#managed = world.tenant.addDevice();
    this.#profile = world.tenant.addProfile({ subject: `CN=${name}`, keyBits: 2048 }, [this.#managed]);
    this.nextAt = world.now + random.below(5 * minuteMs);
    this.#certificatesLeft = 1 + random.few();
  }

  /** It has every certificate that it wanted. */
  get isDone(): boolean {
    return this.#certificatesLeft === 0;
  }

  /** One attempt, now and then as two copies at once. Throws when the process dies. */
  async act(): Promise<void> {
    const request = (this.#request ??= this.#newRequest());
    this.#attempts += 1;
    const endpoint = await this.#world.findEndpoint();
    const { enrolment } = this.#world.services;
    const copies = this.#random.chance(0.2) ? 2 : 1;
    const settled = await Promise.allSettled(Array.from({ length: copies }, () => enrolment.enrol(endpoint, request)));
    // Of a dead process no device has an answer; the others are taken as they come.
    const crashed = settled.find(result => result.status === 'rejected' && isCrash(result.reason));
    if (crashed?.status === 'rejected') {
      this.#wait(5000);
      throw crashed.reason;
    }
    for (const result of settled) {
      if (result.status === 'fulfilled') this.#take(request, result.value);
      else this.#comeBack(result.reason);
    }
  }

  #newRequest(): EnrolmentRequest {
    const name = this.#random.pick(keyNames);
    const signer = signers.get(name);
    if (signer === undefined) throw new Error(`there is no key ${name}`);
    const challenge = this.#world.tenant.createChallenge({ device: this.#managed, profile: this.#profile });
    // What Intune does not look at here, and the connector's policy refuses: Intune is told of a failure.
    const refused = this.#random.chance(0.3) ? [extensionRequest(extKeyUsageExtension([Oid.codeSigning]))] : [];
    const attributes = [challengePassword(challenge), ...refused];
    const der = encodeCsr({ subject: `CN=${this.name}`, key: signer.privateKey, attributes });
    this.#attempts = 0;
    const transactionID = `${this.name}-${++this.#requests}`;
    return { transactionID, signer: signer.certificate, csr: parseCertificationRequest(der), source: '198.18.0.1', digest: 'SHA-256' };
  }

  #take(request: EnrolmentRequest, outcome: EnrolmentOutcome): void {
    switch (outcome.pkiStatus) {
      case 'SUCCESS': {
        const [certificate] = outcome.certificates;
        this.delivered.push({ transactionID: request.transactionID, fingerprint: fingerprint(certificate), certificate });
        // The answer may have been lost on its way: some ask again for what they have.
        this.#asksAgain = !this.#asksAgain && this.#random.chance(0.5);
        if (this.#asksAgain) this.#wait(minuteMs);
        else if (this.#request === request) this.#haveNext();
        return;
      }
      case 'FAILURE':
        this.#beginAnew(10 * minuteMs);
        return;
      case 'PENDING':
        throw new Error('Intune knows no PENDING');
      default:
        outcome satisfies never;
    }
  }

  /** HTTP 503, or 500: the device tries again, a few times. */
  #comeBack(error: unknown): void {
    if (error instanceof PkiError) throw error;
    if (this.#attempts >= attemptsMax) this.#beginAnew(20 * minuteMs);
    else this.#wait(20_000 + this.#random.below(3 * minuteMs));
  }

  #haveNext(): void {
    this.#request = undefined;
    this.#certificatesLeft -= 1;
    this.#wait(this.#random.below(10 * minuteMs));
  }

  #beginAnew(afterMs: number): void {
    this.#request = undefined;
    this.restarts += 1;
    this.#wait(afterMs);
  }

  #wait(ms: number): void {
    this.nextAt = this.#world.now + ms;
  }
}

/** Whatever a process says that has no store any more. */
function isCrash(error: unknown): boolean {
  return (
    error instanceof Error && (error.name === 'CrashError' || /database is not open|driver has already been destroyed/i.test(error.message))
  );
}
