/** A finding of the SCEP fuzzer as a vector: what it expects is what was answered, for a person to put right. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FailInfo, type FailInfoName } from '../../src/base/scep.ts';
import { type Expectation, encodeVector } from '../support/vector-file.ts';
import { connectorPath } from '../support/vector-store.ts';
import type { Finding } from './report.ts';
import { readCorpus } from './scep-corpus.ts';
import { targetOf } from './scep-http.ts';
import { ScepInputs } from './scep-inputs.ts';

let inputs: ScepInputs | undefined;

/** What is found on a connection, or of a path that is no connector's, is no vector. */
export function saveFinding(directory: string, { seed, index, problem, answer }: Finding): void {
  inputs ??= new ScepInputs(readCorpus());
  const { connector, form } = inputs.input(seed, index);
  const target = targetOf(form);
  const path = connectorPath(connector);
  if (!/^[A-Z]+$/.test(form.method) || !target.startsWith(path) || /[\r\n]/.test(target)) return;
  const name = `fuzz-${seed}-${index}`;
  const source = `fuzz scep, seed ${seed}, request ${index}: ${problem.replaceAll(/\s+/g, ' ')}`;
  const vector = { name, expect: expectationOf(answer), source, connector, method: form.method, target: target.slice(path.length) };
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${name}.txt`), encodeVector({ ...vector, headers: [], parallel: 1, body: form.body }));
}

function expectationOf(answer: unknown): Expectation {
  const { ending = '', statusCode = 500 } = (answer ?? {}) as { ending?: string; statusCode?: number };
  const [status, failInfo = ''] = ending.split(' ');
  if (status === 'SUCCESS' || status === 'PENDING') return { pkiStatus: status };
  if (status === 'FAILURE' && failInfo in FailInfo) return { pkiStatus: 'FAILURE', failInfo: failInfo as FailInfoName };
  return { statusCode };
}
