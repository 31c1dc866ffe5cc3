/** What was read from the store, kept for as long as nothing in the store has changed: a deleted key or policy counts at the next request. */
import { LRUCache } from 'lru-cache';
import type { Database } from '../backends/store/database.ts';

export class RevisionCache<Value extends object> {
  readonly #database: Database;
  readonly #entries: LRUCache<string, { revision: string; value: Value }>;

  constructor(database: Database, entriesMax: number) {
    this.#database = database;
    this.#entries = new LRUCache({ max: entriesMax });
  }

  async get(key: string, read: () => Promise<Value>): Promise<Value> {
    // Taken before reading: a change that comes between the two costs a second reading, and is never missed.
    const revision = this.#database.revision();
    const known = this.#entries.get(key);
    if (known !== undefined && known.revision === revision) return known.value;
    const value = await read();
    if (revision !== undefined) this.#entries.set(key, { revision, value });
    return value;
  }
}
