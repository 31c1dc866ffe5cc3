/** Whether a peer can tell by the clock what was wrong behind the RA key: a statistical test with its own threshold and its own control. */
import { type AlgorithmPolicy, type ContentCipher, contentCiphers } from '../src/base/pki/algorithms.ts';
import type { KeyTransport } from '../src/base/pki/enveloped-data.ts';
import { PkiError } from '../src/base/pki/pki-error.ts';
import { openRequest, toBytes } from '../src/fronts/scep/pki-work.ts';
import { createCaAndRa, createIdentity, defaultPolicy, rsaKey } from '../test/support/pki-fixtures.ts';
import { createTimedCsrs, createTimedMessage, type TimedKind, timedKinds } from '../test/support/timed-envelopes.ts';
import type { Measurement } from './run.ts';
import { clip, mean, medianOf, quantile, shuffle } from './statistics.ts';

/** In a round each kind has one turn, in an order drawn anew, so that a slow spell of the machine meets them all alike. */
const rounds = 6000;
/** Not counted: the functions are compiled in them. */
const warmUpRounds = 300;
/** So many that neither the processor's caches nor its branch prediction know a message when it comes again. */
const messagesPerKind = 400;
/** Chance that the whole run finds a difference where there is none. */
const falseAlarm = 0.001;
const splits = 200_000;
/** What the control's planted leak takes: an error of OpenSSL's or of ours takes a third of it. */
const plantedMicros = 20;

/** What is timed in each round besides the kinds. */
const again = 'valid, again';
const planted = 'planted leak';
type Series = TimedKind | typeof again | typeof planted;
export const series: readonly Series[] = [...timedKinds, again, planted];

interface Setting {
  name: string;
  scheme: KeyTransport['scheme'];
  cipher: ContentCipher;
}

const settings: readonly Setting[] = (['PKCS1', 'OAEP'] as const).flatMap(scheme =>
  (['AES-128-CBC', 'AES-256-CBC'] as const).map(name => ({ name: `${scheme}, ${name}`, scheme, cipher: contentCiphers[name] })),
);

const kindPairs = timedKinds.flatMap((a, index) => timedKinds.slice(index + 1).map(b => [a, b] as const));
const comparisons = kindPairs.length * settings.length;

/** Of each in microseconds, by rounds. */
export type Times = ReadonlyMap<Series, Float64Array>;

interface Verdict {
  setting: string;
  medianMicros: number;
  /** Standard deviation of one time within a round, in µs: the unit of the effects. */
  spread: number;
  threshold: number;
  /** The difference, in µs, that would have been found nine times in ten. */
  powerMicros: number;
  largest: Difference;
  againstValid: readonly Difference[];
  found: readonly Difference[];
  planted: Difference;
}

interface Difference {
  name: string;
  micros: number;
  effect: number;
}

export function measureTiming(): Measurement {
  const { ca, ra } = createCaAndRa();
  const client = createIdentity({ issuer: ca, serialNumber: '01'.repeat(16) });
  const csrsOf = createTimedCsrs({ client: client.privateKey, another: rsaKey('another') }, messagesPerKind);
  const open = opener([toBytes(ra)], defaultPolicy);
  const verdicts = settings.map(({ name, scheme, cipher }) => {
    const messages = new Map(
      timedKinds.map(kind => [kind, csrsOf(kind).map(csr => createTimedMessage({ client, ra, scheme, cipher }, kind, csr))] as const),
    );
    return judge(name, timeRounds(messages, open));
  });
  const found = verdicts.flatMap(verdict => verdict.found.map(difference => `${verdict.setting}: ${shown(difference)}`));
  const blind = verdicts.filter(verdict => Math.abs(verdict.planted.effect) <= verdict.threshold).map(({ setting }) => setting);
  const largest = verdicts.reduce((a, b) => (Math.abs(b.largest.effect) / b.threshold > Math.abs(a.largest.effect) / a.threshold ? b : a));
  return {
    title: `opening a PKCSReq that is right or wrong behind the RA key, ${rounds} times for each of ${timedKinds.length} kinds in ${settings.length} settings`,
    rows: [
      ...verdicts.flatMap(rowsOf),
      ['differences found', found.length === 0 ? `none in ${comparisons} comparisons` : found.join('; ')],
      [`leak of ${plantedMicros} µs found`, blind.length === 0 ? 'in every setting' : `not in ${blind.join('; ')}: the test is blind`],
    ],
    figures: {
      comparisons,
      differencesFound: found.length,
      plantedLeaksMissed: blind.length,
      largestEffect: Math.abs(largest.largest.effect),
      threshold: largest.threshold,
      powerMicros: Math.max(...verdicts.map(({ powerMicros }) => powerMicros)),
    },
    passed: found.length === 0 && blind.length === 0,
  };
}

function rowsOf(verdict: Verdict): [string, string][] {
  const { setting, medianMicros, spread, threshold, powerMicros, largest, againstValid } = verdict;
  return [
    [setting, `median ${medianMicros.toFixed(0)} µs, one time scatters by ${spread.toFixed(1)} µs`],
    [
      '  threshold',
      `${threshold.toFixed(3)}, is ${(threshold * spread).toFixed(2)} µs; ${powerMicros.toFixed(2)} µs would have been found`,
    ],
    ['  largest effect', shown(largest)],
    ...againstValid.map(({ name, micros, effect }) => [`  ${name}`, `${signed(micros, 2)} µs, ${signed(effect, 3)}`] as [string, string]),
    ['  planted leak', shown(verdict.planted)],
  ];
}

function shown({ name, micros, effect }: Difference): string {
  return `${signed(effect, 3)}, ${signed(micros, 2)} µs (${name})`;
}

function signed(value: number, digits: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(digits)}`;
}

/** The whole of what a worker does with a request: from its bytes to the outcome, which is thrown where it is a refusal. */
function opener(keyPairs: Parameters<typeof openRequest>[0]['keyPairs'], policy: AlgorithmPolicy): (message: Uint8Array) => boolean {
  return message => {
    try {
      openRequest({ message, requestType: 'PKCSReq', keyPairs, policy });
      return true;
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      return false;
    }
  };
}

function timeRounds(messages: ReadonlyMap<TimedKind, readonly Uint8Array[]>, open: (message: Uint8Array) => boolean): Times {
  const times = new Map(series.map(name => [name, new Float64Array(rounds)] as const));
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const name of shuffle([...series])) {
      const kind = name === again ? 'valid' : name === planted ? 'bad RSA padding' : name;
      const pool = messages.get(kind) ?? [];
      const message = pool[Math.floor(Math.random() * pool.length)] ?? Buffer.alloc(0);
      const startedAt = performance.now();
      const opened = open(message);
      if (name === planted) idle(plantedMicros);
      const micros = (performance.now() - startedAt) * 1000;
      if (opened !== (kind === 'valid')) throw new Error(`a message of the kind "${kind}" was ${opened ? 'opened' : 'refused'}`);
      const own = times.get(name);
      if (round >= 0 && own !== undefined) own[round] = micros;
    }
  }
  return times;
}

function idle(micros: number): void {
  const until = performance.now() + micros / 1000;
  while (performance.now() < until);
}

/**
 * The effect of a pair is the mean of its differences within each round, in units of the scatter of one time; differences far out, which are
 * the machine's, are drawn in. The threshold comes from what cannot differ: valid messages timed twice a round. Which of the two times is
 * called which is drawn at random, many times over; as large as the result may get by chance, given the number of comparisons, is the threshold.
 */
export function judge(setting: string, times: Times, random: () => number = Math.random): Verdict {
  const timesOf = (name: Series) => times.get(name) ?? new Float64Array(0);
  const differences = (a: Series, b: Series) => timesOf(a).map((micros, round) => micros - (timesOf(b)[round] ?? Number.NaN));
  const self = differences('valid', again);
  const scatter = 1.4826 * medianOf(self.map(Math.abs));
  const reach = 3 * scatter;
  const clipped = self.map(micros => clip(micros, reach));
  // Of one time, not of a difference of two.
  const spread = Math.sqrt(mean(clipped.map(micros => micros ** 2)) / 2);
  const chance = chanceEffects(clipped, random).map(micros => micros / spread);
  const threshold = quantile(chance, 1 - falseAlarm / comparisons);
  const difference = (a: Series, b: Series): Difference => {
    // Drawn in about their own middle: a real difference must not be.
    const own = differences(a, b);
    const middle = medianOf(own);
    const micros = middle + mean(own.map(each => clip(each - middle, reach)));
    return { name: `${a} against ${b}`, micros, effect: micros / spread };
  };
  const all = kindPairs.map(([a, b]) => difference(b, a));
  const standardError = Math.sqrt(mean(chance.map(effect => effect ** 2)));
  return {
    setting,
    medianMicros: medianOf(timesOf('valid')),
    spread,
    threshold,
    powerMicros: (threshold + 1.28 * standardError) * spread,
    largest: all.reduce((a, b) => (Math.abs(b.effect) > Math.abs(a.effect) ? b : a)),
    againstValid: all.slice(0, timedKinds.length - 1),
    found: all.filter(({ effect }) => Math.abs(effect) > threshold),
    planted: difference(planted, 'bad RSA padding'),
  };
}

/** The absolute mean of the differences when each changes its sign at random: what chance makes of no difference. */
function chanceEffects(differences: Float64Array, random: () => number): Float64Array {
  const effects = new Float64Array(splits);
  for (let split = 0; split < splits; split++) {
    let sum = 0;
    let bits = 0;
    for (let round = 0; round < differences.length; round++) {
      if (round % 30 === 0) bits = Math.floor(random() * 2 ** 30);
      const micros = differences[round] ?? 0;
      sum += bits & 1 ? micros : -micros;
      bits >>= 1;
    }
    effects[split] = Math.abs(sum) / differences.length;
  }
  return effects;
}
