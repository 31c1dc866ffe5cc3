/** One HTTP listener: fastify bound to a handler that takes requests as they were received, with every limit and time-out named. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Server as TlsServer } from 'node:tls';
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { type HeaderPairs, headerPairs, type RefusedRequest, RefusedRequests } from './refused-requests.ts';

export interface HttpRequest {
  method: string;
  /** The request target as received, percent-encoding untouched. */
  rawUrl: string;
  /** Names and values in the order received. */
  headers: HeaderPairs;
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
  /** Is told of everything that never became a request; never rejects. */
  onRefused: (refused: RefusedRequest) => Promise<void>;
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
  readonly #refusedRequests: RefusedRequests;
  /** Where it listens, for example `127.0.0.1:8080`; the port is the operating system's choice when 0 was asked for. */
  readonly address: string;

  constructor(app: FastifyInstance, parts: { address: string; sockets: ReadonlySet<Socket>; refusedRequests: RefusedRequests }) {
    this.#app = app;
    this.#sockets = parts.sockets;
    this.#refusedRequests = parts.refusedRequests;
    this.address = parts.address;
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
    await this.#refusedRequests.settle();
  }
}

export async function listen(options: ListenerOptions): Promise<Listener> {
  const underWay = new RequestsUnderWay();
  const refusedRequests = new RefusedRequests(options.onRefused);
  const app = createApp(options, underWay, refusedRequests);
  app.server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    refusedRequests.begin(request);
    underWay.add(request, response);
  });
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
    else refusedRequests.add(request.raw, request.raw.socket.destroyed ? undefined : statusCode);
    return send(reply, options.encodeError(statusCode));
  });
  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    underWay.hand(request.raw);
    return send(reply, await options.handle(toHttpRequest(request)));
  };
  app.all('/', answer);
  app.setNotFoundHandler(answer);
  app.server.maxConnections = listenerLimits.connectionsMax;
  app.server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    const { statusCode, headers, body } = options.encodeError(417);
    refusedRequests.add(request, statusCode);
    response.writeHead(statusCode, { ...headers, connection: 'close', 'content-length': Buffer.byteLength(body) }).end(body);
  });
  // Who takes this for a proxy would else find the connection closed, and leave no trace.
  app.server.on('connect', (request: IncomingMessage, socket: Duplex) => {
    refusedRequests.add(request, 400);
    socket.on('error', () => socket.destroy());
    socket.end(rawResponse(options.encodeError(400)));
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
  const address = `${host.includes(':') ? `[${host}]` : host}:${boundPort}`;
  return new Listener(app, { address, sockets, refusedRequests });
}

/** The requests that are not answered yet, by their connections. */
class RequestsUnderWay {
  readonly #requests = new Map<Socket, Set<IncomingMessage>>();
  /** The handler has them: fastify reads no body of GET, so that what comes of one may still turn out to be no HTTP. */
  readonly #handed = new WeakSet<IncomingMessage>();
  readonly #ending = new Set<Socket>();

  add(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const requests = this.#requests.get(socket) ?? new Set();
    this.#requests.set(socket, requests.add(request));
    response.on('close', () => {
      requests.delete(request);
      if (requests.size === 0) this.#requests.delete(socket);
      // A request that has not come in whole by now never will.
      if (!this.#isAnswering(requests) && this.#ending.delete(socket)) socket.end();
    });
  }

  hand(request: IncomingMessage): void {
    this.#handed.add(request);
  }

  /** Whether there is one, after whose answer the connection then ends. */
  endAfter(socket: Socket): boolean {
    const isOneAnswered = this.#isAnswering(this.#requests.get(socket) ?? []);
    if (isOneAnswered) this.#ending.add(socket);
    return isOneAnswered;
  }

  /** The one whose body is still to come. */
  findIncomplete(socket: Socket): IncomingMessage | undefined {
    return [...(this.#requests.get(socket) ?? [])].find(({ complete }) => !complete);
  }

  #isAnswering(requests: Iterable<IncomingMessage>): boolean {
    return [...requests].some(request => request.complete || this.#handed.has(request));
  }
}

function createApp(
  { tls, bodyBytesMax, encodeError, log }: ListenerOptions,
  underWay: RequestsUnderWay,
  refusedRequests: RefusedRequests,
): FastifyInstance {
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
    clientErrorHandler: (error: ClientError, socket: Socket) => {
      // What follows a request is no HTTP: a refusal of it now would be taken for the answer to that request.
      if (underWay.endAfter(socket)) return refusedRequests.passOver(socket);
      const statusCode = socket.writable ? clientErrorStatus(error.code) : undefined;
      const incomplete = underWay.findIncomplete(socket);
      if (incomplete !== undefined || isParserError(error)) refusedRequests.addLast(socket, incomplete, error.rawPacket, statusCode);
      if (statusCode === undefined) socket.destroy();
      else socket.end(rawResponse(encodeError(statusCode)));
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
    headers: headerPairs(request.raw),
    body: request.body instanceof Uint8Array ? request.body : Buffer.alloc(0),
    source: request.ip,
  };
}

function send(reply: FastifyReply, response: HttpResponse): FastifyReply {
  // Of a string fastify would say its charset in the content type, which certmonger does not take and AWS does not send.
  const body = typeof response.body === 'string' ? Buffer.from(response.body) : response.body;
  return reply.code(response.statusCode).headers(response.headers).send(body);
}

interface ClientError extends Error {
  code?: string;
  /** Octets, which fastify's types call something else. */
  rawPacket?: unknown;
}

/** Of the other errors of a connection none is about a request: a peer that has gone, and TLS. */
function isParserError({ code = '' }: ClientError): boolean {
  return code.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT';
}

/** What Node's HTTP parser refuses before there is a request. */
function clientErrorStatus(code: string | undefined): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}

function rawResponse({ statusCode, headers, body }: HttpResponse): string {
  const text = typeof body === 'string' ? body : Buffer.from(body).toString('latin1');
  const fields = Object.entries({ ...headers, connection: 'close', 'content-length': String(Buffer.byteLength(text, 'latin1')) });
  return `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${text}`;
}
