/** The few statistics that benchmarks share. */

export function mean(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

export function medianOf(values: Float64Array): number {
  return quantile(values, 0.5);
}

/** The smallest value that at least this share of all does not exceed. */
export function quantile(values: Float64Array, share: number): number {
  return values.toSorted()[Math.max(0, Math.ceil(share * values.length) - 1)] ?? Number.NaN;
}

export function clip(value: number, reach: number): number {
  return Math.max(-reach, Math.min(reach, value));
}

/** In place (Fisher and Yates). */
export function shuffle<T>(values: T[]): T[] {
  for (let last = values.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [values[last], values[other]] = [values[other] as T, values[last] as T];
  }
  return values;
}
