/** One HTTP listener: fastify bound to a handler that takes requests as they were received, with every limit and time-out named. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';

export interface HttpRequest {
  method: string;
  /** The request target as received, percent-encoding untouched. */
  rawUrl: string;
  /** Names and values in the order received. */
  headers: readonly (readonly [name: string, value: string])[];
  body: Uint8Array;
  /** The peer's address. */
  source: string;
}

export interface HttpResponse {
  statusCode: number;
  headers: Record<string, string>;
  body: Uint8Array | string;
}

/** PEM. */
export interface TlsMaterial {
  certificate: string;
  key: string;
}

export interface ListenerOptions {
  host: string;
  port: number;
  tls?: TlsMaterial | undefined;
  bodyBytesMax: number;
  handle: (request: HttpRequest) => Promise<HttpResponse>;
  /** The answer, in the listener's own protocol, to what never became a request. */
  encodeError: (statusCode: number) => HttpResponse;
  log: FastifyBaseLogger;
}

/** GET carries a whole pkiMessage in its URL, and 64 KB of it are seen in the field; Node's default of 16 KiB answers 431. */
export const listenerLimits = {
  headerBytesMax: 128 * 1024,
  connectionsMax: 4096,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 10_000,
  /** How long requests under way may take to end once the listener is to stop. */
  stopGraceMs: 3_000,
} as const;

export class Listener implements AsyncDisposable {
  readonly #app: FastifyInstance;
  readonly #sockets: ReadonlySet<Socket>;
  /** Where it listens, for example `127.0.0.1:8080`; the port is the operating system's choice when 0 was asked for. */
  readonly address: string;

  constructor(app: FastifyInstance, address: string, sockets: ReadonlySet<Socket>) {
    this.#app = app;
    this.#sockets = sockets;
    this.address = address;
  }

  /** New connections use the new certificate; open ones keep theirs. */
  replaceTls({ certificate, key }: TlsMaterial): void {
    (this.#app.server as unknown as TlsServer).setSecureContext({ cert: certificate, key });
  }

  /** Takes no more connections and lets the requests under way end; a peer that is silent, or stops halfway, is not waited for. */
  async [Symbol.asyncDispose](): Promise<void> {
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, listenerLimits.stopGraceMs);
    await this.#app.close();
    clearTimeout(timer);
  }
}

export async function listen(options: ListenerOptions): Promise<Listener> {
  const underWay = new RequestsUnderWay();
  const app = createApp(options, underWay);
  app.server.on('request', (request: IncomingMessage, response: ServerResponse) => underWay.add(request, response));
  let closing = false;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addHook('preClose', async () => {
    closing = true;
  });
  // Without it a keep-alive connection holds the shutdown up until it times out.
  app.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('connection', 'close');
  });
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const statusCode = error.statusCode ?? 500;
    if (statusCode >= 500) request.log.error({ err: error }, 'a request could not be answered');
    return send(reply, options.encodeError(statusCode));
  });
  const answer = async (request: FastifyRequest, reply: FastifyReply) => send(reply, await options.handle(toHttpRequest(request)));
  app.all('/', answer);
  app.setNotFoundHandler(answer);
  app.server.maxConnections = listenerLimits.connectionsMax;
  app.server.on('checkExpectation', (_request, response: ServerResponse) => {
    const { statusCode, headers, body } = options.encodeError(417);
    response.writeHead(statusCode, { ...headers, connection: 'close', 'content-length': Buffer.byteLength(body) }).end(body);
  });
  // The sockets themselves: the server's own lists leave out TLS handshakes that are not finished.
  const sockets = new Set<Socket>();
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const { host, port } = options;
  await app.listen({ host, port });
  const bound = app.server.address();
  const boundPort = typeof bound === 'object' ? (bound?.port ?? port) : port;
  return new Listener(app, `${host.includes(':') ? `[${host}]` : host}:${boundPort}`, sockets);
}

/** The requests that have come in whole and are not answered yet, by their connections. */
class RequestsUnderWay {
  readonly #requests = new Map<Socket, Set<IncomingMessage>>();
  readonly #ending = new Set<Socket>();

  add(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const requests = this.#requests.get(socket) ?? new Set();
    this.#requests.set(socket, requests.add(request));
    response.on('close', () => {
      requests.delete(request);
      if (requests.size === 0) this.#requests.delete(socket);
      // A request that has not come in whole by now never will.
      if (!isAnswering(requests) && this.#ending.delete(socket)) socket.end();
    });
  }

  /** Whether there is one, after whose answer the connection then ends. */
  endAfter(socket: Socket): boolean {
    const isOneAnswered = isAnswering(this.#requests.get(socket) ?? []);
    if (isOneAnswered) this.#ending.add(socket);
    return isOneAnswered;
  }
}

function isAnswering(requests: Iterable<IncomingMessage>): boolean {
  return [...requests].some(({ complete }) => complete);
}

function createApp({ tls, bodyBytesMax, encodeError, log }: ListenerOptions, underWay: RequestsUnderWay): FastifyInstance {
  // Old devices speak HTTP/1.0 without a Host header.
  const http = { maxHeaderSize: listenerLimits.headerBytesMax, requireHostHeader: false };
  const common = {
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyBytesMax,
    requestTimeout: listenerLimits.requestTimeoutMs,
    keepAliveTimeout: listenerLimits.keepAliveTimeoutMs,
    forceCloseConnections: 'idle' as const,
    // The handlers match the path on the bytes received, which fastify would decode, and never look at the content type, which SCEP clients
    // leave out, leave empty or get wrong. What was received stays in originalUrl and rawHeaders.
    rewriteUrl: (request: { headers: { 'content-type'?: string | undefined } }) => {
      request.headers['content-type'] = 'application/octet-stream';
      return '/';
    },
    clientErrorHandler: (error: Error & { code?: string }, socket: Socket) => {
      // What follows a request is no HTTP: a refusal of it now would be taken for the answer to that request.
      if (underWay.endAfter(socket)) return;
      if (socket.writable) socket.end(rawResponse(encodeError(clientErrorStatus(error.code))));
      else socket.destroy();
    },
  };
  if (tls === undefined) return fastify({ ...common, http });
  const https = { ...http, cert: tls.certificate, key: tls.key, minVersion: 'TLSv1.2' as const };
  return fastify({ ...common, https });
}

function toHttpRequest(request: FastifyRequest): HttpRequest {
  return {
    method: request.method,
    rawUrl: request.originalUrl,
    headers: rawHeaderPairs(request.raw),
    body: request.body instanceof Uint8Array ? request.body : Buffer.alloc(0),
    source: request.ip,
  };
}

function rawHeaderPairs({ rawHeaders }: IncomingMessage): [string, string][] {
  return Array.from({ length: rawHeaders.length / 2 }, (_, index) => [rawHeaders[2 * index] ?? '', rawHeaders[2 * index + 1] ?? '']);
}

function send(reply: FastifyReply, response: HttpResponse): FastifyReply {
  // Of a string fastify would say its charset in the content type, which certmonger does not take and AWS does not send.
  const body = typeof response.body === 'string' ? Buffer.from(response.body) : response.body;
  return reply.code(response.statusCode).headers(response.headers).send(body);
}

/** What Node's HTTP parser refuses before there is a request. */
function clientErrorStatus(code: string | undefined): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}

const reasonPhrases: Record<number, string> = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' };

function rawResponse({ statusCode, headers, body }: HttpResponse): string {
  const text = typeof body === 'string' ? body : Buffer.from(body).toString('latin1');
  const fields = Object.entries({ ...headers, connection: 'close', 'content-length': String(Buffer.byteLength(text, 'latin1')) });
  return `HTTP/1.1 ${statusCode} ${reasonPhrases[statusCode]}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${text}`;
}
