/** A plain-HTTP proxy before a server that keeps what passes through: it shows what a client that is not ours has really sent. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { send } from './raw-scep-client.ts';

export interface Exchange {
  method: string;
  /** Path and query as received. */
  target: string;
  body: Buffer;
  answer: Buffer;
}

export interface RecordingProxy extends AsyncDisposable {
  /** Of the same path as the server's. */
  readonly url: string;
  readonly exchanges: readonly Exchange[];
}

/** `capabilities`: what GetCACaps answers in place of the server, for clients do by what they are told there. */
export async function startRecordingProxy(serverUrl: string, capabilities?: string): Promise<RecordingProxy> {
  const exchanges: Exchange[] = [];
  const { origin, pathname } = new URL(serverUrl);
  const pass = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { method = '', url: target = '' } = incoming;
    const body = await buffer(incoming);
    const { statusCode, headers, body: answered } = await send(`${origin}${target}`, { method, body });
    const answer = capabilities !== undefined && target.includes('operation=GetCACaps') ? Buffer.from(capabilities) : answered;
    exchanges.push({ method, target, body, answer });
    outgoing.writeHead(statusCode, { 'content-type': headers['content-type'], 'content-length': answer.length }).end(answer);
  };
  const proxy = createServer((incoming, outgoing) => void pass(incoming, outgoing).catch(() => outgoing.destroy()));
  await new Promise<void>(resolve => void proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${pathname}`,
    exchanges,
    async [Symbol.asyncDispose]() {
      proxy.closeAllConnections();
      await new Promise(resolve => void proxy.close(resolve));
    },
  };
}
