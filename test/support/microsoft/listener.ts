/** The double of Microsoft's services on a port of 127.0.0.1, over HTTP or HTTPS. */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { Microsoft, type MicrosoftParts } from './microsoft.ts';

export interface RunningMicrosoft extends AsyncDisposable {
  readonly microsoft: Microsoft;
  readonly url: string;
}

interface Tls {
  key: string;
  cert: string;
}

export async function startMicrosoft(parts: Pick<MicrosoftParts, 'now' | 'fetchIssuer'>, tls?: Tls): Promise<RunningMicrosoft> {
  const microsoft = new Microsoft({ ...parts, baseUrl: () => url });
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    answer(microsoft, request, response).catch(error => response.destroy(error));
  };
  const server = tls ? createHttpsServer(tls, serve) : createHttpServer(serve);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  return {
    microsoft,
    url,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>(resolve => server.close(() => resolve()));
    },
  };
}

async function answer(microsoft: Microsoft, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  );
  const body = await buffer(request);
  const outcome = await microsoft.handle({ method: request.method ?? '', url: request.url ?? '', headers, body });
  switch (outcome.kind) {
    case 'answer':
      response.writeHead(outcome.status, { ...outcome.headers, 'content-length': outcome.body.length }).end(outcome.body);
      return;
    case 'hang':
      return;
    case 'reset': {
      if (outcome.middleOf === undefined) {
        request.socket.destroy();
        return;
      }
      const { status, headers: sent, body: whole } = outcome.middleOf;
      response.writeHead(status, { ...sent, 'content-length': whole.length });
      response.write(whole.subarray(0, Math.floor(whole.length / 2)), () => request.socket.destroy());
      return;
    }
    default:
      outcome satisfies never;
  }
}
