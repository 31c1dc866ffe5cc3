/** A short run of the simulation from a seed, and proof that what it looks for would be found. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seed } from '../support/pki-fixtures.ts';
import { type Sabotage, simulateIntune } from './intune-simulation.ts';

const seeds = 30;
/** In so many runs each sabotage has to be found. */
const seedsToFind = 60;

describe('an INTUNE connector in trouble', () => {
  it(`never lets a device have what Intune does not know of, nor leaves one without, from ${seeds} seeds`, async () => {
    let met = 0;
    for (let index = 0; index < seeds; index++) {
      const { problems, faults, crashes } = await simulateIntune(seed + index);
      assert.deepEqual(problems, [], `seed ${seed + index}`);
      met += faults + crashes;
    }
    assert.ok(met > seeds, `${met} faults met`);
  });
});

describe('the simulation', () => {
  const sabotages: Record<string, [sabotage: Sabotage, problem: RegExp]> = {
    'a certificate that is given before Intune knows of it': [
      ({ services: { intuneNotifications }, database }) => {
        intuneNotifications.deliver = async transactionRowId => {
          const change = { status: 'SUCCESS' } as const;
          await database.query.updateTable('transactions').set(change).where('transaction_row_id', '=', transactionRowId).execute();
        };
      },
      /a device has a certificate that Intune does not know of/,
    ],
    'an outbox that nobody empties': [
      ({ services: { intuneNotifications } }) => {
        intuneNotifications.step = async () => 0;
      },
      /Intune is not told in the end|a transaction is NOTIFYING in the end/,
    ],
    'a second certificate for one transaction': [
      ({ services: { certificates }, database }) => {
        const issue = certificates.issue.bind(certificates);
        certificates.issue = async (order, alongside) => {
          const issued = await issue(order, alongside);
          if (alongside?.transactionRowId !== undefined && order.kind === 'DEVICE') {
            await issue(order);
            const change = { transaction_row_id: alongside.transactionRowId };
            const { query } = database;
            await query
              .updateTable('certificates')
              .set(change)
              .where('transaction_row_id', 'is', null)
              .where('kind', '=', 'DEVICE')
              .execute();
          }
          return issued;
        };
      },
      /a transaction has two certificates/,
    ],
    'an activity that has one id for every call': [
      ({ microsoft }) => {
        const handle = microsoft.handle.bind(microsoft);
        microsoft.handle = request => handle({ ...request, headers: { ...request.headers, 'client-request-id': 'the same' } });
      },
      /client-request-id is no GUID/,
    ],
    'a device that is refused for ever': [
      ({ services: { enrolment } }) => {
        enrolment.enrol = async () => ({ pkiStatus: 'FAILURE', failInfo: 'badRequest', reason: 'No.' });
      },
      /is stuck after the trouble has ended/,
    ],
  };
  for (const [name, [sabotage, problem]] of Object.entries(sabotages)) {
    it(`finds ${name}`, async () => {
      for (let index = 0; index < seedsToFind; index++) {
        const { problems } = await simulateIntune(index + 1, sabotage);
        if (problems.some(found => problem.test(found))) return;
      }
      assert.fail(`not in ${seedsToFind} runs`);
    });
  }
});
