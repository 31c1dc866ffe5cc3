/** What the double of Microsoft's services knows: tenants with their applications, devices, profiles, challenges, revocation requests and scale unit. */
import { randomBytes, randomUUID } from 'node:crypto';
import { type Expectations, sealChallenge, type Tampering } from './challenge.ts';

export type Role = 'scep_challenge_provider' | 'Application.Read.All';

export interface FederatedCredential {
  issuer: string;
  subject: string;
  audience: string;
}

export class Application {
  readonly clientId = randomUUID();
  readonly roles = new Set<Role>();
  credentials: FederatedCredential[] = [];

  addFederatedCredential(credential: FederatedCredential): void {
    this.credentials.push(credential);
  }

  grant(...roles: Role[]): this {
    for (const role of roles) this.roles.add(role);
    return this;
  }

  revoke(role: Role): void {
    this.roles.delete(role);
  }
}

export interface Device {
  id: string;
  userId: string;
  /** What Intune knows the device's key by; undefined: it is not looked at. */
  keyIdentifiers: string[] | undefined;
}

export interface Profile {
  expectations: Expectations;
  targets: Set<Device>;
}

/** Graph's certificateIssuanceStates, as far as they are met here. */
export type IssuanceState =
  | 'challengeIssued'
  | 'challengeValidationSucceeded'
  | 'challengeValidationFailed'
  | 'issued'
  | 'issueFailed'
  | 'revoked';

export interface Challenge {
  device: Device;
  profile: Profile;
  state: IssuanceState;
}

export interface RevocationEntry {
  requestContext: string;
  serialNumber: string;
  issuerName: string | null;
  caConfiguration: string | null;
}

export interface RevocationAnswer {
  requestContext: string;
  succeeded: boolean;
  errorCode: string;
  errorMessage: string | null;
}

export interface ChallengeOptions {
  device: Device;
  profile: Profile;
  /** What is not as Intune has made it. */
  tampering?: Tampering | undefined;
  createdAt?: number;
  claims?: Partial<Record<'tid' | 'deviceId' | 'userId' | 'certRequestId' | 'createdAt', string>>;
}

export class Tenant {
  readonly id = randomUUID();
  readonly domain: string;
  readonly applications = new Map<string, Application>();
  readonly devices = new Map<string, Device>();
  /** By certRequestId. */
  readonly challenges = new Map<string, Challenge>();
  readonly revocations: RevocationEntry[] = [];
  readonly revocationAnswers: RevocationAnswer[] = [];
  readonly challengeKey = randomBytes(32);
  isIntuneProvisioned = true;
  scaleUnit = 'msua01';
  readonly #now: () => number;

  constructor(domain: string, now: () => number) {
    this.domain = domain;
    this.#now = now;
  }

  addApplication(): Application {
    const application = new Application();
    this.applications.set(application.clientId, application);
    return application;
  }

  addDevice(options: { keyIdentifiers?: string[] } = {}): Device {
    const device = { id: randomUUID(), userId: randomUUID(), keyIdentifiers: options.keyIdentifiers };
    this.devices.set(device.id, device);
    return device;
  }

  addProfile(expectations: Expectations, targets: readonly Device[]): Profile {
    return { expectations, targets: new Set(targets) };
  }

  createChallenge({ device, profile, tampering, createdAt = this.#now(), claims }: ChallengeOptions): string {
    const certRequestId = randomUUID();
    this.challenges.set(certRequestId, { device, profile, state: 'challengeIssued' });
    const payload = {
      tid: this.id,
      deviceId: device.id,
      userId: device.userId,
      certRequestId,
      createdAt: new Date(createdAt).toISOString(),
      expectations: profile.expectations,
      ...claims,
    };
    return sealChallenge(this.challengeKey, payload, tampering);
  }

  /** The old one's URLs lead nowhere from now on. */
  moveScaleUnit(): void {
    this.scaleUnit = `msua${String(Number(this.scaleUnit.slice(4)) + 1).padStart(2, '0')}`;
  }

  /** Its requestContext. */
  queueRevocation(entry: { serialNumber: string; issuerName?: string; caConfiguration?: string }): string {
    const requestContext = randomBytes(24).toString('base64');
    const { serialNumber, issuerName = null, caConfiguration = null } = entry;
    this.revocations.push({ requestContext, serialNumber, issuerName, caConfiguration });
    return requestContext;
  }
}
