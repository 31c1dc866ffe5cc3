/** NextToken: a cursor that only its issuer can make, bound to the operation, its filter and the caller, and good for a day. */
import { timingSafeEqual } from 'node:crypto';

/** How many items a page has when MaxResults does not say; AWS leaves it undocumented. */
export const pageSizeDefault = 100;

/** The members of every list operation of restJson1; the pattern is the model's. */
export function pagingMembers(maxResultsMax: number) {
  return {
    MaxResults: { place: 'query', shape: { type: 'integer', min: 1, max: maxResultsMax } },
    NextToken: {
      place: 'query',
      shape: {
        type: 'string',
        minLength: 1,
        maxLength: 1000,
        pattern: '^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$',
      },
    },
  } as const;
}

const tokenLifeMs = 24 * 60 * 60_000;
const macBytes = 32;
const timeBytes = 6;
const macPurpose = 'next-token';

/** A keyed MAC of 32 bytes, such as the key protector's. */
export type Mac = (data: Uint8Array, purpose: string) => Promise<Uint8Array>;

/** Where a token is valid. */
export interface TokenScope {
  operation: string;
  caller: string;
  filter: Readonly<Record<string, unknown>>;
}

/** MAC, time of issue and cursor in padded base64url: the pattern AWS's model gives NextToken. */
export async function sealNextToken(mac: Mac, scope: TokenScope, cursor: string, now: number): Promise<string> {
  const issuedAt = Buffer.alloc(timeBytes);
  issuedAt.writeUIntBE(now, 0, timeBytes);
  const content = Buffer.concat([issuedAt, Buffer.from(cursor)]);
  const text = Buffer.concat([await macOf(mac, scope, content), content]).toString('base64url');
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}

/** The cursor; undefined of a token that is damaged, stale, or was given for another operation, filter or caller. */
export async function openNextToken(mac: Mac, scope: TokenScope, token: string, now: number): Promise<string | undefined> {
  const bytes = Buffer.from(token, 'base64url');
  if (bytes.length < macBytes + timeBytes) return undefined;
  const content = bytes.subarray(macBytes);
  if (!timingSafeEqual(bytes.subarray(0, macBytes), await macOf(mac, scope, content))) return undefined;
  return now - content.readUIntBE(0, timeBytes) > tokenLifeMs ? undefined : content.subarray(timeBytes).toString();
}

function macOf(mac: Mac, { operation, caller, filter }: TokenScope, content: Buffer): Promise<Uint8Array> {
  const scope = Buffer.from(JSON.stringify([operation, caller, filter]));
  return mac(Buffer.concat([scope, content]), macPurpose);
}
