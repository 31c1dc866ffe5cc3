/** What the fuzzer's rounds have in common, and how it notices promises that nobody waits for. */

/** Takes generated items one by one, over a store of its own. */
export interface Round<Item> extends AsyncDisposable {
  send(item: Item): Promise<Outcome>;
}

export interface Outcome {
  /** The operation that was reached and how it ended, for the count. */
  operation: string;
  ending: string;
  /** Each in the same words whenever it comes. */
  problems: string[];
  request: object;
  answer: unknown;
  /** Nothing more can be said of this store. */
  isFatal?: boolean;
}

/** Rejections of promises that nobody waits for: in the server each would end the process. */
export interface Rejections extends Disposable {
  take(): string[];
}

export function watchRejections(): Rejections {
  const reasons: string[] = [];
  const listener = (reason: unknown) => void reasons.push(String(reason));
  process.on('unhandledRejection', listener);
  return {
    take: () => reasons.splice(0),
    [Symbol.dispose]: () => void process.off('unhandledRejection', listener),
  };
}
