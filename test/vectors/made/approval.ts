/** Approval by hand: requests that wait, and who may ask what became of them. */
import { sequence } from '../../../src/base/pki/der.ts';
import { challengePassword } from '../../support/scep-messages.ts';
import { type IdentityName, identity } from '../../support/vector-identities.ts';
import { type Drafts, type Maker, pending, refused } from '../maker.ts';

const transactionID = 'waits-for-approval';

function poll(maker: Maker, { signer = 'device', swapped = false }: { signer?: IdentityName; swapped?: boolean } = {}): Uint8Array {
  const names = [identity('ca').certificate.subject.der, identity(signer).certificate.subject.der];
  return maker.request({ signer, transactionID, messageType: '20', csr: sequence(...(swapped ? names.toReversed() : names)) });
}

export const approval: Drafts = {
  waits: {
    stands: 'B11: a request that waits for an operator',
    connector: 'approval',
    ...pending,
    make: maker => maker.request({ transactionID }),
  },
  'waits-still': {
    stands: 'the same message again, as scepclient polls',
    connector: 'approval',
    after: 'approval/waits',
    seed: 'approval/waits',
    ...pending,
    make: maker => maker.request({ transactionID }),
  },
  poll: {
    stands: 'B45: CertPoll of a request that waits',
    connector: 'approval',
    after: 'approval/waits',
    ...pending,
    make: maker => poll(maker),
  },
  'poll-swapped': {
    stands: 'B45: CertPoll with issuer and subject swapped, as sscep once sent it',
    connector: 'approval',
    after: 'approval/waits',
    ...pending,
    make: maker => poll(maker, { swapped: true }),
  },
  'poll-by-another': {
    stands: 'F.10: CertPoll by another key than the request’s',
    connector: 'approval',
    after: 'approval/waits',
    ...refused('badCertId'),
    make: maker => poll(maker, { signer: 'device-2' }),
  },
  'poll-at-another-connector': {
    stands: 'F.19: CertPoll at another connector than the request’s',
    after: 'approval/waits',
    ...refused('badCertId'),
    make: maker => poll(maker),
  },
  'wrong-challenge': {
    stands: 'F.7: a wrong challenge waits for nobody',
    connector: 'approval',
    ...refused('badRequest', 'The challenge password is invalid.'),
    make: maker => maker.request({ challenge: challengePassword('wrong') }),
  },
};
