/** What Cisco's IOS and ASA share: HTTP/1.0 without a Host, GET alone, base64 broken into lines in the URL. */
import { exchangeOctets, type HttpAnswer } from '../raw-scep-client.ts';
import { challengePassword, extensionRequest } from '../scep-messages.ts';
import { alternativeNames, ClientComplaint, type EnrolmentRequest, Wire } from './device.ts';

const lineCharacters = 64;

export class CiscoWire extends Wire {
  constructor() {
    super({});
  }

  /** Cisco: HTTP/1.0 without a Host header, and its user agent (smallstep/certificates#2100). */
  override async get(url: string, _tlsCa?: string, message?: Uint8Array): Promise<HttpAnswer> {
    const target = url.slice(new URL(url).origin.length);
    const head = `GET ${target} HTTP/1.0\r\nUser-Agent: Mozilla/4.0 (compatible; MSIE 5.0; Cisco PKI)\r\n\r\n`;
    return this.keep(url, message, exchangeOctets(url, head).then(parseHttpAnswer));
  }

  async pkiOperation(url: string, message: Uint8Array): Promise<HttpAnswer> {
    const lines =
      Buffer.from(message)
        .toString('base64')
        .match(new RegExp(`.{1,${lineCharacters}}`, 'g')) ?? [];
    // Cisco: GET even where POST is offered (smallstep/certificates#846), a line break after every 64 characters (smallstep/certificates#2100).
    const base64 = encodeURIComponent(lines.map(line => `${line}\n`).join(''));
    return this.get(`${url}?operation=PKIOperation&message=${base64}`, undefined, message);
  }
}

/** Cisco: the challenge, and no extensionRequest where nothing is asked for. */
export function csrAttributes({ challenge, subjectAltNames = [], extensions = [] }: EnrolmentRequest): Uint8Array[] {
  const requested = [...alternativeNames(subjectAltNames), ...extensions];
  return [
    ...(challenge === undefined ? [] : [challengePassword(challenge)]),
    ...(requested.length === 0 ? [] : [extensionRequest(...requested)]),
  ];
}

/** Cisco: a body of known length, as chunks came only with HTTP/1.1. */
function parseHttpAnswer(octets: Buffer): HttpAnswer {
  const headEnd = octets.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = octets.subarray(0, Math.max(headEnd, 0)).toString('latin1').split('\r\n');
  const [, statusCode] = /^HTTP\/1\.[01] (\d{3}) /.exec(statusLine) ?? [];
  if (statusCode === undefined) throw new ClientComplaint('the answer is no HTTP');
  const headers = Object.fromEntries(
    lines.map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const body = octets.subarray(headEnd + 4);
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length']) !== body.length) {
    throw new ClientComplaint('the answer is not of the length that Content-Length says');
  }
  return { statusCode: Number(statusCode), headers, body };
}
