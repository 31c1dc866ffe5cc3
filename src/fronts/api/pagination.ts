/** NextToken: a cursor that only its issuer can make, bound to the operation, its filter and the caller's account. */
import { timingSafeEqual } from 'node:crypto';
import { validationException } from '../../base/errors.ts';

/** How many items a page has when MaxResults does not say; AWS leaves it undocumented. */
export const pageSizeDefault = 100;

const macBytes = 32;
const macPurpose = 'next-token';

/** A keyed MAC of 32 bytes, such as the key protector's. */
export type Mac = (data: Uint8Array, purpose: string) => Promise<Uint8Array>;

/** Where a token is valid. */
export interface TokenScope {
  operation: string;
  accountId: string;
  filter: Readonly<Record<string, unknown>>;
}

/** The cursor after its MAC, in padded base64url: the pattern AWS's model gives NextToken. */
export async function sealNextToken(mac: Mac, scope: TokenScope, cursor: string): Promise<string> {
  const text = Buffer.concat([await macOf(mac, scope, cursor), Buffer.from(cursor)]).toString('base64url');
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}

/** The cursor; a token that is damaged, or was given for another operation, filter or account, is refused. */
export async function openNextToken(mac: Mac, scope: TokenScope, token: string): Promise<string> {
  const bytes = Buffer.from(token, 'base64url');
  const cursor = bytes.subarray(macBytes).toString();
  const expected = await macOf(mac, scope, cursor);
  if (bytes.length < macBytes || !timingSafeEqual(bytes.subarray(0, macBytes), expected)) {
    throw validationException('NextToken is not one that this operation returned for these parameters.');
  }
  return cursor;
}

function macOf(mac: Mac, { operation, accountId, filter }: TokenScope, cursor: string): Promise<Uint8Array> {
  return mac(Buffer.from(JSON.stringify([operation, accountId, filter, cursor])), macPurpose);
}
