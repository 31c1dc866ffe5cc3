/** What a run of either fuzzer found and counted, and how it is shown. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Outcome } from './round.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What an answer or a plan may take of the screen. */
const shownCharactersMax = 20_000;

export interface FuzzOptions {
  seed: number;
  requests: number;
  /** The run ends at this instant of the monotonic clock, whatever is left. */
  until?: number;
  onFinding?(finding: Finding): void;
  /** After each round, with what there is so far. */
  onRound?(report: FuzzReport): void;
}

export interface Finding {
  /** Of the round: a run from this seed begins with it. */
  seed: number;
  /** Of the request in its round. */
  index: number;
  problem: string;
  plan: unknown;
  request: object;
  answer: unknown;
}

export interface FuzzReport {
  requests: number;
  seconds: number;
  /** By operation or kind of input, then by exception or pkiStatus. */
  outcomes: Map<string, Map<string, number>>;
  findings: Finding[];
  /** How often something came again that had been found. */
  repeated: number;
  slowestMs: number;
  /** The plan of the request that took so long. */
  slowest: string;
  /** What is in use after each round, once garbage is collected. */
  heapMiB: number[];
}

export function emptyReport(): FuzzReport {
  return { requests: 0, seconds: 0, outcomes: new Map(), findings: [], repeated: 0, slowestMs: 0, slowest: '', heapMiB: [] };
}

export function countOutcome(
  outcomes: FuzzReport['outcomes'],
  { operation, ending }: Pick<Outcome, 'operation' | 'ending'>,
  count = 1,
): void {
  const ofOperation = outcomes.get(operation) ?? new Map<string, number>();
  ofOperation.set(ending, (ofOperation.get(ending) ?? 0) + count);
  outcomes.set(operation, ofOperation);
}

/** What is in use once garbage is collected, buffers outside of the heap included. */
export async function measureHeapMiB(): Promise<number> {
  collectGarbage();
  // What lies outside of the heap is let go a turn later.
  await nextTurn();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return Math.round((heapUsed + external) / 2 ** 20);
}

export function showFinding({ seed, index, problem, plan, request, answer }: Finding): void {
  const lines = Object.entries({ plan, request, answer }).map(([name, value]) => `  ${name} ${cut(JSON.stringify(value) ?? 'none')}`);
  console.log([`FINDING ${problem}`, `  seed ${seed}, request ${index}`, ...lines].join('\n'));
}

function cut(text: string): string {
  return text.length > shownCharactersMax ? `${text.slice(0, shownCharactersMax)}… (${text.length} characters)` : text;
}

export function showOutcomes({ outcomes }: FuzzReport): void {
  const width = Math.max(...[...outcomes.keys()].map(name => name.length));
  const rows = [...outcomes].sort(([a], [b]) => (a < b ? -1 : 1));
  console.log(rows.map(([operation, endings]) => `${operation.padEnd(width)}  ${countsOf(endings)}`).join('\n'));
}

function countsOf(endings: ReadonlyMap<string, number>): string {
  const sorted = [...endings].sort(([, a], [, b]) => b - a);
  return sorted.map(([ending, count]) => `${ending} ${count}`).join(', ');
}

export function summaryOf(target: string, seed: number, { requests, seconds, findings, repeated, slowestMs, heapMiB }: FuzzReport): string {
  const found = findings.length === 0 ? 'no findings' : `${findings.length} findings (seen ${repeated} more times)`;
  const heap = `heap ${heapMiB[0] ?? 0} MiB after the first round, ${heapMiB.at(-1) ?? 0} after the last`;
  const perSecond = Math.round(requests / seconds);
  return `fuzz ${target}: seed ${seed}, ${requests} requests, ${found}, ${perSecond} requests/s, slowest ${Math.round(slowestMs)} ms, ${heap}`;
}
