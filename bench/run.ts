/** `npm run bench -- NAME [--json FILE|-]`: runs one benchmark and shows its rows; as JSON to a file beside them, or to stdout in their place. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

/** What a benchmark gives: rows for a person, and the same figures under names that scripts rely on. */
export interface Measurement {
  title: string;
  rows: readonly (readonly [label: string, value: string])[];
  figures: Record<string, number>;
  /** False ends the run with status 1. */
  passed?: boolean;
}

interface Benchmark {
  about: string;
  measure: () => Promise<Measurement>;
}

const benchmarks = new Map<string, Benchmark>([
  [
    'codec',
    {
      about: 'what it costs to decode a PKIOperation, beside one RSA-2048 signature',
      measure: async () => (await import('./codec.ts')).measureCodec(),
    },
  ],
  [
    'timing',
    {
      about: 'whether the time of a refusal tells what was wrong behind the RA key; status 1 when it does',
      measure: async () => (await import('./timing.ts')).measureTiming(),
    },
  ],
  [
    'api',
    {
      about: 'GetConnector under 32 signed callers: latencies, and the share of signature and authorisation',
      measure: async () => (await import('./api.ts')).measureApi(),
    },
  ],
]);

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  if (values.help) {
    console.log(usage());
    return 0;
  }
  const [name, surplus] = positionals;
  if (name === undefined || surplus !== undefined) return refuse('Name one benchmark.');
  const benchmark = benchmarks.get(name);
  if (benchmark === undefined) return refuse(`There is no benchmark "${name}".`);
  const measurement = await benchmark.measure();
  const json = JSON.stringify(measurement.figures, undefined, 2);
  console.log(values.json === '-' ? json : table(measurement));
  if (values.json !== undefined && values.json !== '-') writeFileSync(values.json, `${json}\n`);
  return measurement.passed === false ? 1 : 0;
}

function parse(args: string[]) {
  return parseArgs({ args, allowPositionals: true, options: { json: { type: 'string' }, help: { type: 'boolean', default: false } } });
}

function usage(): string {
  const names = [...benchmarks].map(([name, { about }]) => `  ${name.padEnd(12)}${about}`);
  return ['usage: npm run bench -- NAME [--json FILE|-]', '', ...names].join('\n');
}

function refuse(reason: string): number {
  console.error(`${reason}\n${usage()}`);
  return 2;
}

function table({ title, rows }: Measurement): string {
  const width = Math.max(...rows.map(([label]) => label.length));
  return [title, ...rows.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`)].join('\n');
}
