/** The API's handler behind plain node:http on a port of 127.0.0.1, with requests as they were received. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { ApiRequest, ApiResponse } from '../../src/fronts/api/request.ts';

export interface ApiListener extends AsyncDisposable {
  url: string;
}

export async function listenApi(handler: (request: ApiRequest) => Promise<ApiResponse>): Promise<ApiListener> {
  const listener = createServer((incoming, outgoing) => {
    void toApiRequest(incoming)
      .then(handler)
      .then(({ statusCode, headers, body }) => outgoing.writeHead(statusCode, headers).end(body));
  });
  await new Promise<void>(resolve => void listener.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections();
      await new Promise(resolve => void listener.close(resolve));
    },
  };
}

async function toApiRequest(incoming: IncomingMessage): Promise<ApiRequest> {
  const headers: [string, string][] = [];
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    headers.push([incoming.rawHeaders[index] ?? '', incoming.rawHeaders[index + 1] ?? '']);
  }
  const { method = '', url: rawUrl = '', socket } = incoming;
  return { method, rawUrl, headers, body: await buffer(incoming), source: socket.remoteAddress ?? '' };
}
