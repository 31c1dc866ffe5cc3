/** What the values of conditions are compared as: numbers, dates, booleans and bytes (IAM User Guide, "Condition operators"). */

export function parseNumber(text: string): number | undefined {
  return /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : undefined;
}

/** The W3C's profile of ISO 8601 (NOTE-datetime), in which a time needs its zone, or seconds since the epoch; as milliseconds. Four digits are a year. */
export function parseDate(text: string): number | undefined {
  if (/^\d{5,12}$/.test(text)) return Number(text) * 1000;
  const [, date, time] = /^(\d{4}(?:-\d\d(?:-\d\d)?)?)(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/.exec(text) ?? [];
  if (date === undefined || (time !== undefined && date.length < 10)) return undefined;
  const day = Date.parse(date);
  // Date.parse takes 30 February for 1 March.
  if (Number.isNaN(day) || !new Date(day).toISOString().startsWith(date)) return undefined;
  const instant = Date.parse(text);
  return Number.isNaN(instant) ? undefined : instant;
}

export function parseBoolean(text: string): boolean | undefined {
  const folded = text.toLowerCase();
  return folded === 'true' || folded === 'false' ? folded === 'true' : undefined;
}

/** The bytes of canonical base64, in hexadecimal. */
export function parseBinary(text: string): string | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes.toString('hex') : undefined;
}
