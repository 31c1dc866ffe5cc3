/** Dynamic challenges: passwords with an end, a number of uses and perhaps bounds on what they authorise. Made here, claimed by the enrolment. */
import type { KeyProtector } from '../backends/key-protector.ts';
import type { Database, DynamicChallengeRow } from '../backends/store/database.ts';
import {
  countDynamicChallenges,
  deleteDynamicChallengesBefore,
  findDynamicChallenge,
  findDynamicChallengeByMac,
  insertDynamicChallenge,
} from '../backends/store/dynamic-challenges.ts';
import { describePurpose, findPurpose } from '../base/enrolment-policy.ts';
import { conflict, resourceNotFound, ServiceException, violation, violationsException } from '../base/errors.ts';
import type { CertificationRequest } from '../base/pki/pkcs10.ts';
import type { Home, Principal } from '../base/resources.ts';
import { type Failure, failure } from '../base/scep.ts';
import type { System } from '../base/system.ts';
import { requestedSubjectAltName } from './certificate-profile.ts';
import { checkTakesChallenges } from './challenges.ts';
import { createOnce, tokenReusedMessage } from './client-tokens.ts';
import { connectorIdOf, getConnectorRow } from './connectors.ts';
import { findRefusedSubjectAltName, matchesSubjectPattern, parseSubjectAltNameRule, parseSubjectPattern } from './name-rules.ts';

export const dynamicChallengeLimits = {
  expiresInSeconds: { min: 60, max: 30 * 24 * 60 * 60, default: 60 * 60 },
  uses: { min: 1, max: 10_000, default: 1 },
  /** Of one connector, those that have not ended: a number that the store counts at once. */
  liveMax: 10_000,
} as const;

/** For how long after its end one can still be found in the store by somebody who asks what became of it. */
const keptAfterEndMs = 24 * 60 * 60_000;

/** What the CSR must hold to. A member that is absent bounds nothing. */
export interface ChallengeBounds {
  /** RFC 4514 text whose values are patterns: the subject has just these attributes, in whichever order. */
  Subject?: string;
  /** `TYPE:pattern` each: every name of the CSR is like one of them, and none at all is always right. */
  SubjectAlternativeNames?: string[];
  /** Names or OIDs: every purpose of the certificate is among them. */
  ExtendedKeyUsages?: string[];
}

interface CreateDynamicChallengeRequest {
  ConnectorArn: string;
  ExpiresInSeconds?: number;
  Uses?: number;
  Bounds?: ChallengeBounds;
  ClientToken?: string;
}

interface DynamicChallenge {
  Password: string;
  ExpiresAt: number;
  Uses: number;
}

interface DynamicChallengesParts {
  database: Database;
  keyProtector: KeyProtector;
  system: System;
  region: string;
}

export class DynamicChallenges {
  readonly #parts: DynamicChallengesParts;

  constructor(parts: DynamicChallengesParts) {
    this.#parts = parts;
  }

  async createDynamicChallenge(
    principal: Principal,
    request: CreateDynamicChallengeRequest,
  ): Promise<{ DynamicChallenge: DynamicChallenge }> {
    const { database, keyProtector, system, region } = this.#parts;
    const { ClientToken, ...parameters } = request;
    const { ConnectorArn } = parameters;
    checkForm(request.Bounds);
    const home: Home = { accountId: principal.accountId, region };
    const now = system.now();
    // Made beforehand, as a key protector may be slow and a transaction keeps every other one waiting.
    const fresh = await this.#newRow(home, request, now);
    const row = await database.transaction(async query => {
      const mismatch = () => conflict('Connector', ConnectorArn, tokenReusedMessage);
      const once = { accountId: home.accountId, operation: 'CreateDynamicChallenge', ClientToken, parameters, now, mismatch } as const;
      const id = await createOnce(query, once, async () => {
        const connector = await getConnectorRow(query, home, ConnectorArn);
        checkTakesChallenges(connector);
        const { connector_id: connectorId } = connector;
        await deleteDynamicChallengesBefore(query, { connectorId, endedBefore: now - keptAfterEndMs });
        checkLive(await countDynamicChallenges(query, { connectorId, now }));
        await insertDynamicChallenge(query, fresh.row);
        return fresh.row.dynamic_challenge_id;
      });
      return findDynamicChallenge(query, id);
    });
    // One that a token made is gone only with its connector.
    if (!row) throw resourceNotFound('Connector', ConnectorArn);
    const isFresh = row.dynamic_challenge_id === fresh.row.dynamic_challenge_id;
    const password = isFresh ? fresh.password : await keyProtector.unseal(row.sealed_password, sealContext(row.dynamic_challenge_id));
    return { DynamicChallenge: { Password: Buffer.from(password).toString(), ExpiresAt: row.expires_at, Uses: row.uses } };
  }

  /**
   * The connector's challenge whose password this is, ended and used up ones too: whether a use is left is known only by claiming it. Found by
   * a keyed MAC, so the time taken does not tell how near a candidate came.
   */
  async findChallenge(connectorId: string, password: string): Promise<DynamicChallengeRow | undefined> {
    const { database, keyProtector } = this.#parts;
    const passwordMac = await keyProtector.mac(Buffer.from(password), macPurpose(connectorId));
    return findDynamicChallengeByMac(database.query, { connectorId, passwordMac });
  }

  /** The password has the form of a challenge's, 122 random bits. It is kept, sealed, only where a repeated request may ask for it again. */
  async #newRow(
    { accountId, region }: Home,
    { ConnectorArn, ExpiresInSeconds, Uses, Bounds, ClientToken }: CreateDynamicChallengeRequest,
    now: number,
  ): Promise<{ row: DynamicChallengeRow; password: Uint8Array }> {
    const { keyProtector, system } = this.#parts;
    const { expiresInSeconds, uses } = dynamicChallengeLimits;
    const connectorId = connectorIdOf({ accountId, region }, ConnectorArn);
    const id = system.randomUUID();
    const password = Buffer.from(system.randomUUID());
    const row: DynamicChallengeRow = {
      dynamic_challenge_id: id,
      connector_id: connectorId,
      account_id: accountId,
      region,
      sealed_password: ClientToken === undefined ? new Uint8Array() : await keyProtector.seal(password, sealContext(id)),
      password_mac: await keyProtector.mac(password, macPurpose(connectorId)),
      bounds: Bounds === undefined ? null : JSON.stringify(Bounds),
      uses: Uses ?? uses.default,
      uses_claimed: 0,
      expires_at: now + (ExpiresInSeconds ?? expiresInSeconds.default) * 1000,
      created_at: now,
    };
    return { row, password };
  }
}

function sealContext(dynamicChallengeId: string): string {
  return `dynamic_challenges/${dynamicChallengeId}`;
}

function macPurpose(connectorId: string): string {
  return `dynamic-challenge-password/${connectorId}`;
}

function checkLive(count: number): void {
  const { liveMax } = dynamicChallengeLimits;
  if (count < liveMax) return;
  const message = `The connector has ${liveMax} dynamic challenges that have not ended. Wait for some to end, or let them end sooner.`;
  throw new ServiceException('ServiceQuotaExceededException', message, {
    ResourceType: 'DynamicChallenge',
    ServiceCode: 'scep-connector',
    QuotaCode: 'DynamicChallengesPerConnector',
  });
}

/** Throws ValidationException: a bound that cannot be read would let nothing through, or be passed over. */
function checkForm({ Subject, SubjectAlternativeNames = [], ExtendedKeyUsages = [] }: ChallengeBounds = {}): void {
  if (Subject !== undefined && parseSubjectPattern(Subject) === undefined) {
    refuse('subject', 'Member must be a distinguished name such as CN=printer-*,O=Example');
  }
  for (const [index, rule] of SubjectAlternativeNames.entries()) {
    if (parseSubjectAltNameRule(rule) === undefined) {
      refuse(`subjectAlternativeNames.${index + 1}.member`, 'Member must be TYPE:pattern with one of DNS, email, URI, IP, DN, RID, UPN');
    }
  }
  for (const [index, name] of ExtendedKeyUsages.entries()) {
    if (findPurpose(name) === undefined) {
      refuse(
        `extendedKeyUsages.${index + 1}.member`,
        'Member must be the name or OID of a purpose that a device may have, such as clientAuth',
      );
    }
  }
}

function refuse(path: string, constraint: string): never {
  throw violationsException([violation(`bounds.${path}`, constraint)]);
}

/**
 * What the CSR has that the challenge is not for. `bounds` is the row's JSON, `extKeyUsage` the OIDs that the certificate would have. Throws PkiError
 * where an extension of the CSR cannot be parsed.
 */
export function checkBounds(
  bounds: DynamicChallengeRow['bounds'],
  csr: Pick<CertificationRequest, 'subject' | 'extensions'>,
  extKeyUsage: readonly string[],
): Failure | undefined {
  if (bounds === null) return undefined;
  const { Subject, SubjectAlternativeNames, ExtendedKeyUsages } = JSON.parse(bounds) as ChallengeBounds;
  if (Subject !== undefined && !matchesSubjectPattern(csr.subject, parseSubjectPattern(Subject) ?? [])) {
    return outOfBounds(`The challenge password is for another subject: ${Subject}.`);
  }
  if (SubjectAlternativeNames !== undefined) {
    const rules = SubjectAlternativeNames.flatMap(rule => parseSubjectAltNameRule(rule) ?? []);
    const refused = findRefusedSubjectAltName(requestedSubjectAltName(csr), rules);
    if (refused !== undefined) return outOfBounds(`The challenge password is not for the subjectAltName ${refused}.`);
  }
  if (ExtendedKeyUsages !== undefined) {
    const allowed = new Set(ExtendedKeyUsages.map(findPurpose));
    const refused = extKeyUsage.find(purpose => !allowed.has(purpose));
    if (refused !== undefined) return outOfBounds(`The challenge password is not for the extended key usage ${describePurpose(refused)}.`);
  }
  return undefined;
}

function outOfBounds(reason: string): Failure {
  return failure('badRequest', reason, { code: 'challengeInvalid' });
}
