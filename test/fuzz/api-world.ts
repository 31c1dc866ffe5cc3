/** What there is for requests to be about: callers of every kind, authorities that can sign, and what the answers so far have named. */
import type { ApiRequest, ApiResponse } from '../../src/fronts/api/request.ts';
import { sessionSeconds } from '../../src/service/user-limits.ts';
import { parseObject } from './api-oracle.ts';
import { type Caller, draftOf, rowOf } from './api-plans.ts';
import type { Known, Reference } from './api-values.ts';
import { toApiRequest } from './draft.ts';
import { type SigningCredentials, signInHeader } from './request-signing.ts';

export interface WorldParts {
  handle(request: ApiRequest): Promise<ApiResponse>;
  region: string;
  administrator: SigningCredentials;
  /** Of another account; without one its requests are not signed. */
  stranger?: SigningCredentials;
  /** The server's clock. */
  now(): number;
  advance(ms: number): void;
  /** Lets the workers do all that waits for them. */
  settle(): Promise<void>;
  /** Stands in for a device that asks a connector which lets its requests wait. */
  makeRequest(ConnectorArn: string): Promise<void>;
}

export const host = 'localhost';
/** Of each kind, so that neither a run's memory nor its choice grows without end. */
const keptMax = 12;
const secretsMax = 1000;
const activeMin = 2;
/** Below the quota, so that there is room for one that works. */
const connectorsMax = 15;

const forms: readonly [Known, RegExp][] = [
  ['challengeArn', /^arn:aws:pca-connector-scep:.+\/challenge\//],
  ['requestArn', /^arn:aws:pca-connector-scep:.+\/request\//],
  ['connectorArn', /^arn:aws:pca-connector-scep:[^/]+\/[^/]+$/],
  ['certificateArn', /^arn:aws:acm-pca:.+\/certificate\//],
  ['certificateAuthorityArn', /^arn:aws:acm-pca:[^/]+\/[^/]+$/],
];
const secretMembers = new Set(['Password', 'SecretAccessKey', 'SessionToken']);

export class World {
  readonly #parts: WorldParts;
  readonly #credentials = new Map<Caller, SigningCredentials>();
  readonly #known = new Map<Known, string[]>();
  readonly #secrets = new Set<string>();

  constructor(parts: WorldParts) {
    this.#parts = parts;
  }

  static async make(parts: WorldParts): Promise<World> {
    const world = new World(parts);
    await world.#makeCallers();
    await world.tend();
    return world;
  }

  /** Undefined: sends no signature. */
  credentialsOf(caller: Caller): SigningCredentials | undefined {
    return this.#credentials.get(caller);
  }

  get secrets(): Iterable<string> {
    return this.#secrets;
  }

  /** The plan's input with what its references stand for now. */
  resolve(input: Record<string, unknown>): Record<string, unknown> {
    return resolveIn(input, reference => this.#find(reference)) as Record<string, unknown>;
  }

  /** Keeps what later requests may be about. */
  learn(answer: string): void {
    const content = parseObject(answer);
    if (content) this.#learn('', content);
  }

  /** Lets the workers work, and sees to it that there is something to issue with and to enrol at. */
  async tend(): Promise<void> {
    await this.#parts.settle();
    const authorities = arnsOf(await this.#list('ListCertificateAuthorities'), { Status: 'ACTIVE' });
    while (authorities.length < activeMin) authorities.push(await this.#makeAuthority());
    const listed = await this.#list('ListConnectors');
    for (const { Arn } of listed.slice(connectorsMax)) await this.call('DeleteConnector', { ConnectorArn: Arn });
    const connectors = arnsOf(listed.slice(0, connectorsMax), { Status: 'ACTIVE', Type: 'GENERAL_PURPOSE' });
    while (connectors.length < activeMin) connectors.push(await this.#makeConnector(authorities.at(-1)));
    for (const ConnectorArn of connectors.slice(0, activeMin)) {
      if ((await this.#list('ListChallengeMetadata', { ConnectorArn })).length === 0) await this.call('CreateChallenge', { ConnectorArn });
      if ((await this.#list('ListPendingRequests', { ConnectorArn, Status: 'PENDING' })).length > 0) continue;
      await this.#parts.makeRequest(ConnectorArn);
      await this.#list('ListPendingRequests', { ConnectorArn, Status: 'PENDING' });
    }
  }

  async #list(operation: string, input: Record<string, unknown> = {}): Promise<Listed[]> {
    const content = await this.call(operation, input);
    return Object.values(content).find(member => Array.isArray(member)) ?? [];
  }

  async #makeConnector(CertificateAuthorityArn: string | undefined): Promise<string> {
    const { ConnectorArn } = await this.call('CreateConnector', { CertificateAuthorityArn });
    await this.#parts.settle();
    return String(ConnectorArn);
  }

  /** As the administrator; anything but a success is the fuzzer's own mistake. */
  async call(operation: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
    const { region, administrator, handle, now } = this.#parts;
    const draft = draftOf({ operation, input, caller: 'administrator', form: 'header', before: [], after: [] }, input, host);
    const signed = signInHeader(draft, administrator, { at: now(), region, service: rowOf(operation).signingName });
    const { statusCode, body } = await handle(toApiRequest(signed));
    if (statusCode >= 300) throw new Error(`${operation} of the fuzzer's own was answered with ${statusCode} ${body}`);
    this.learn(body);
    return parseObject(body) ?? {};
  }

  async #makeCallers(): Promise<void> {
    const { administrator, stranger, advance } = this.#parts;
    this.#credentials.set('administrator', administrator);
    if (stranger) this.#credentials.set('stranger', stranger);
    this.#credentials.set('unknown', { accessKeyId: 'AKIAZZZZZZZZZZZZZZZZ', secretAccessKey: 'v9Q2xkUm7Zr4Tj8Lw3Ns6Hb1' });
    const lapsed = await this.call('GetSessionToken', { DurationSeconds: sessionSeconds.min });
    this.#credentials.set('lapsed', credentialsIn(lapsed['Credentials']));
    advance(sessionSeconds.min * 1000);
    const actions = ['pca-connector-scep:Get*', 'pca-connector-scep:List*', 'acm-pca:Describe*', 'scep-connector:List*'];
    const readOnly = JSON.stringify({ Version: '2012-10-17', Statement: { Effect: 'Allow', Action: actions, Resource: '*' } });
    for (const UserName of ['reader', 'nobody'] as const) {
      await this.call('CreateUser', { UserName });
      this.#credentials.set(UserName, await this.#makeKey(UserName));
    }
    await this.call('PutUserPolicy', { UserName: 'reader', PolicyName: 'read-only', PolicyDocument: readOnly });
    const inactive = await this.#makeKey('reader');
    await this.call('UpdateAccessKey', { UserName: 'reader', AccessKeyId: inactive.accessKeyId, Status: 'INACTIVE' });
    this.#credentials.set('inactive', inactive);
    const { Credentials } = await this.call('GetSessionToken', { Policy: readOnly.replace('pca-connector-scep:Get*', '*') });
    this.#credentials.set('session', credentialsIn(Credentials));
    for (const { secretAccessKey, sessionToken } of this.#credentials.values()) {
      this.#secrets.add(secretAccessKey);
      if (sessionToken !== undefined) this.#secrets.add(sessionToken);
    }
  }

  async #makeKey(UserName: string): Promise<SigningCredentials> {
    return credentialsIn((await this.call('CreateAccessKey', { UserName }))['AccessKey']);
  }

  /** ACTIVE, as AWS's documentation activates a root. */
  async #makeAuthority(): Promise<string> {
    const { CertificateAuthorityArn } = await this.call('CreateCertificateAuthority', {
      CertificateAuthorityType: 'ROOT',
      CertificateAuthorityConfiguration: {
        KeyAlgorithm: 'EC_prime256v1',
        SigningAlgorithm: 'SHA256WITHECDSA',
        Subject: { CommonName: 'Fuzz' },
      },
    });
    await this.#parts.settle();
    const { Csr } = await this.call('GetCertificateAuthorityCsr', { CertificateAuthorityArn });
    const { CertificateArn } = await this.call('IssueCertificate', {
      CertificateAuthorityArn,
      Csr: Buffer.from(String(Csr)).toString('base64'),
      SigningAlgorithm: 'SHA256WITHECDSA',
      TemplateArn: 'arn:aws:acm-pca:::template/RootCACertificate/V1',
      Validity: { Type: 'YEARS', Value: 10 },
    });
    await this.#parts.settle();
    const { Certificate } = await this.call('GetCertificate', { CertificateAuthorityArn, CertificateArn });
    await this.call('ImportCertificateAuthorityCertificate', {
      CertificateAuthorityArn,
      Certificate: Buffer.from(String(Certificate)).toString('base64'),
    });
    return String(CertificateAuthorityArn);
  }

  #learn(member: string, value: unknown): void {
    if (Array.isArray(value)) for (const item of value) this.#learn(member, item);
    else if (typeof value === 'object' && value !== null) for (const [name, inner] of Object.entries(value)) this.#learn(name, inner);
    else if (typeof value === 'string') this.#learnText(member, value);
  }

  #learnText(member: string, value: string): void {
    if (secretMembers.has(member)) this.#learnSecret(value);
    if (member === 'NextToken') this.#keep('nextToken', value);
    if (member === 'AccessKeyId') this.#keep('accessKeyId', value);
    const [known] = forms.find(([, form]) => form.test(value)) ?? [];
    if (known === undefined) return;
    this.#keep(known, value);
    if (known === 'certificateArn') this.#keep('serialNumber', value.slice(value.lastIndexOf('/') + 1));
  }

  #learnSecret(secret: string): void {
    this.#secrets.add(secret);
    const [oldest] = this.#secrets;
    if (this.#secrets.size > secretsMax && oldest !== undefined) this.#secrets.delete(oldest);
  }

  /** What was named last comes last; what was not named for long goes, for most of it is of things that are gone. */
  #keep(known: Known, value: string): void {
    const others = (this.#known.get(known) ?? []).filter(other => other !== value);
    this.#known.set(known, [...others, value].slice(-keptMax));
  }

  #all(known: Known): readonly string[] {
    return this.#known.get(known) ?? [];
  }

  #find({ $known, pick }: Reference): string {
    const values = $known === 'scepResourceArn' ? [...this.#all('connectorArn'), ...this.#all('challengeArn')] : this.#all($known);
    return values[Math.floor(pick * values.length)] ?? 'none';
  }
}

type Listed = Record<string, string>;

function arnsOf(listed: readonly Listed[], having: Listed): string[] {
  const fitting = listed.filter(item => Object.entries(having).every(([member, value]) => item[member] === value));
  return fitting.map(({ Arn = '' }) => Arn);
}

function credentialsIn(member: unknown): SigningCredentials {
  const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken } = member as Record<string, string>;
  if (accessKeyId === undefined || secretAccessKey === undefined) throw new Error('no credentials');
  return { accessKeyId, secretAccessKey, sessionToken };
}

function resolveIn(value: unknown, find: (reference: Reference) => string): unknown {
  if (Array.isArray(value)) return value.map(item => resolveIn(item, find));
  if (typeof value !== 'object' || value === null) return value;
  if (isReference(value)) return find(value);
  const entries = Object.entries(value).map(([name, inner]) => [name, resolveIn(inner, find)] as const);
  return Object.fromEntries(entries);
}

function isReference(value: object): value is Reference {
  return Object.hasOwn(value, '$known') && Object.hasOwn(value, 'pick');
}
