/** A SCEP URL taken apart as it was received: the connector and its secret in the path, the operation in the query. */

export interface ScepUrl {
  /** Of a target in absolute form. */
  host?: string | undefined;
  rawQuery: string;
  /** Which connector is asked for, as far as the path says so, for the log: never its third part, the secret. */
  asked?: { accountId: string; connectorId: string };
  /** Undefined when the path has not the form of a connector's. */
  connectorPath?: { accountId: string; connectorId: string; secret: string };
}

const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
/** What follows is ignored: clients append /pkiclient.exe, /cgi-bin/pkiclient.exe and the like (RFC 8894 section 4.1). */
const endpointPath = new RegExp(`^/(\\d{12})-(${uuid})/(${uuid})(?:/|$)`);
/** As long as a UUID, of which no part has twelve digits in front: no secret is taken for it, nor what follows an escaped slash. */
const askedPath = /\/(\d{12})-([^/%]{1,36})/;

/** A target in absolute form, as sent to proxies, names the same resource (RFC 9112 section 3.2.2). */
export function parseScepUrl(target: string): ScepUrl {
  const [prefix = '', host] = /^https?:\/\/([^/?]*)/i.exec(target) ?? [];
  const rawUrl = target.slice(prefix.length);
  // Some clients append their query to a URL that has one already, so everything after the first question mark is query.
  const mark = rawUrl.indexOf('?');
  const path = mark < 0 ? rawUrl : rawUrl.slice(0, mark);
  const rawQuery = mark < 0 ? '' : rawUrl.slice(mark + 1).replaceAll('?', '&');
  return { host, rawQuery, ...partsOf(path) };
}

function partsOf(path: string): Pick<ScepUrl, 'asked' | 'connectorPath'> {
  const [, askedAccountId, askedConnectorId] = askedPath.exec(path) ?? [];
  if (!askedAccountId || !askedConnectorId) return {};
  const asked = { accountId: askedAccountId, connectorId: askedConnectorId };
  const [, accountId, connectorId, secret] = endpointPath.exec(path) ?? [];
  return accountId && connectorId && secret ? { asked, connectorPath: { accountId, connectorId, secret } } : { asked };
}
