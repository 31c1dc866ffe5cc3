/** Choices that follow from a seed: the same seed and number give the same choices, whatever was chosen before. */

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** `number` sets one stream apart from the others of the seed. */
  constructor(seed: number, number: number) {
    this.#a = seed | 0;
    this.#b = Math.trunc(seed / 2 ** 32) | 0;
    this.#c = number | 0;
    this.#d = 1;
    // Seeds that differ in one bit are alike until the state is mixed.
    for (let turn = 0; turn < 12; turn++) this.word();
  }

  /** 32 bits, by the generator sfc32. */
  word(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** From 0 to below 1. */
  fraction(): number {
    return this.word() / 2 ** 32;
  }

  /** A whole number from 0 to below `limit`; 0 where there is none. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    if (items.length === 0) throw new RangeError('nothing to pick from');
    return items[this.below(items.length)] as Item;
  }

  /** One of the keys, each as often as its weight says. */
  weighted<Key extends string>(weights: Readonly<Record<Key, number>>): Key {
    const entries = Object.entries<number>(weights) as [Key, number][];
    let left = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    return this.pick(entries)[0];
  }

  bytes(size: number): Buffer {
    return Buffer.from(Array.from({ length: size }, () => this.word() & 0xff));
  }

  /** A small number from 1 on: mostly 1, seldom more than 4. */
  few(): number {
    let count = 1;
    while (count < 8 && this.chance(0.4)) count++;
    return count;
  }
}
