/** Waits for an answer, but not for ever. */

/** Undefined when there is none in time. */
export async function answerInTime<Answer>(answer: Promise<Answer>, timeoutMs: number): Promise<Answer | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  try {
    return await Promise.race([answer, promise]);
  } finally {
    clearTimeout(timer);
  }
}
