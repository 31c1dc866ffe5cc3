/** Requests that were refused before a front was asked: what could be read of them is told to the front, once each. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

export type HeaderPairs = readonly (readonly [name: string, value: string])[];

export interface RefusedRequest {
  /** The peer's address. */
  source: string;
  /** As far as they could be read. */
  method?: string;
  rawUrl?: string;
  headers: HeaderPairs;
  /** Undefined where nothing was answered, since the peer had gone. */
  statusCode: number | undefined;
}

/** Nobody honest sends more. */
const headersReadMax = 100;
/** Where the peer had gone before it was asked for. */
const unknownSource = 'unknown';

export class RefusedRequests {
  readonly #tell: (refused: RefusedRequest) => Promise<void>;
  readonly #told = new WeakSet<IncomingMessage | Socket>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #sources = new WeakMap<Socket, string>();

  constructor(tell: (refused: RefusedRequest) => Promise<void>) {
    this.#tell = tell;
  }

  /** Before a request may be refused: a socket whose peer has gone does not say any more who that was. */
  begin({ socket }: IncomingMessage): void {
    this.#sources.set(socket, sourceOf(socket));
  }

  /** One that was begun. Of a body that is no HTTP both Node's parser and fastify complain. */
  add(request: IncomingMessage & { originalUrl?: string }, statusCode: number | undefined): void {
    if (this.#told.has(request)) return;
    this.#told.add(request);
    const { method = '', url = '', originalUrl = url, socket } = request;
    this.#add({
      source: this.#sources.get(socket) ?? sourceOf(socket),
      method,
      rawUrl: originalUrl,
      headers: headerPairs(request),
      statusCode,
    });
  }

  /**
   * What is no HTTP, and ends its connection, where every further packet is an error again. `incomplete` is the request whose body it is in; else
   * `packet`, which Node's parser was given last, has the request's beginning unless that came before.
   */
  addLast(socket: Socket, incomplete: IncomingMessage | undefined, packet: unknown, statusCode: number | undefined): void {
    if (this.#told.has(socket)) return;
    this.#told.add(socket);
    if (incomplete !== undefined) return this.add(incomplete, statusCode);
    const head = packet instanceof Uint8Array ? readHead(packet) : { headers: [] };
    this.#add({ source: sourceOf(socket), ...head, statusCode });
  }

  /** The connection ends with the answer to a request: what follows that on it is none. */
  passOver(socket: Socket): void {
    this.#told.add(socket);
  }

  #add(refused: RefusedRequest): void {
    const telling = this.#tell(refused).finally(() => this.#underWay.delete(telling));
    this.#underWay.add(telling);
  }

  /** Resolves when everything is told. */
  async settle(): Promise<void> {
    await Promise.all(this.#underWay);
  }
}

export function headerPairs({ rawHeaders }: IncomingMessage): [string, string][] {
  return Array.from({ length: rawHeaders.length / 2 }, (_, index) => [rawHeaders[2 * index] ?? '', rawHeaders[2 * index + 1] ?? '']);
}

/** A request's head read as far as it goes, without judging it: it is no HTTP, after all. */
export function readHead(packet: Uint8Array): Pick<RefusedRequest, 'method' | 'rawUrl' | 'headers'> {
  const text = Buffer.from(packet).toString('latin1');
  const [line, method, rawUrl] = /^[\r\n]*([A-Za-z]{1,32}) ((?:\/|https?:\/\/)[^\s]*)/.exec(text) ?? [];
  if (line === undefined || method === undefined || rawUrl === undefined) return { headers: [] };
  const lines = text
    .slice(line.length)
    .split(/\r?\n/, headersReadMax + 1)
    .slice(1);
  const end = lines.indexOf('');
  const headers = (end < 0 ? lines : lines.slice(0, end)).flatMap(field => {
    const colon = field.indexOf(':');
    return colon < 1 ? [] : [[field.slice(0, colon), field.slice(colon + 1).trim()] as const];
  });
  return { method, rawUrl, headers };
}

function sourceOf({ remoteAddress }: Socket): string {
  return remoteAddress ?? unknownSource;
}
