/** Writes every vector that is not captured: `node test/vectors/make.ts`. A vector that was taken out is to be deleted by hand. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Vector, vectorsDirectory, writeVector } from '../support/vector-file.ts';
import { algorithms } from './made/algorithms.ts';
import { approval } from './made/approval.ts';
import { cms } from './made/cms.ts';
import { csr } from './made/csr.ts';
import { encoding } from './made/encoding.ts';
import { envelope } from './made/envelope.ts';
import { get } from './made/get.ts';
import { http } from './made/http.ts';
import { policy } from './made/policy.ts';
import { query } from './made/query.ts';
import { renewal } from './made/renewal.ts';
import { transaction } from './made/transaction.ts';
import { type Draft, type Drafts, Maker } from './maker.ts';

const groups: Record<string, Drafts> = {
  algorithms,
  approval,
  cms,
  csr,
  encoding,
  envelope,
  get,
  http,
  policy,
  query,
  renewal,
  transaction,
};

for (const [group, drafts] of Object.entries(groups)) {
  for (const [name, draft] of Object.entries(drafts)) make(`${group}/${name}`, draft);
}

function make(name: string, draft: Draft): void {
  if (draft.once && existsSync(join(vectorsDirectory, `${name}.txt`))) return;
  const {
    stands,
    expect,
    reason,
    connector = 'default',
    method = 'POST',
    headers = [],
    after,
    transport,
    parallel = 1,
    seed = name,
  } = draft;
  const message = draft.make?.(new Maker(seed, connector)) ?? Buffer.alloc(0);
  const target = draft.target ?? '?operation=PKIOperation';
  const vector: Vector = {
    name,
    expect,
    ...(reason !== undefined && { reason }),
    source: `${stands}; made by test/vectors/make.ts`,
    connector,
    method,
    target: typeof target === 'string' ? target : target(Buffer.from(message).toString('base64')),
    headers: headers.map(([key, value]) => [key, value === 'LENGTH' ? String(message.length) : value]),
    ...(after !== undefined && { after }),
    ...(transport !== undefined && { transport }),
    parallel,
    body: method === 'POST' ? message : Buffer.alloc(0),
  };
  writeVector(vector);
}
