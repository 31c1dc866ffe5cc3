/** What callers of the API write for certificates: which text is an OBJECT IDENTIFIER, which fits an IA5String, which is safe in any string. */

/** AWS's CustomObjectIdentifier has at most 64 characters; what they say fits into what the BER reader takes. */
export const oidTextCharactersMax = 64;

/** Dotted decimal without needless zeros; under the roots 0 and 1 the second arc ends at 39 (X.660 section A.4), or it would be encoded as another. */
export function isOidText(text: string): boolean {
  return text.length <= oidTextCharactersMax && /^(?:[01]\.[1-3]?\d|2\.(?:0|[1-9]\d*))(?:\.(?:0|[1-9]\d*))*$/.test(text);
}

/** What an IA5String may hold without passing for something else: its control characters are shown differently by each reader. */
export function isPrintableAscii(text: string): boolean {
  return /^[ -~]*$/.test(text);
}

/** Unicode without control characters and line separators, a NUL above all, and without half a surrogate pair. */
export function isPlainText(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- the control characters are what must not get through
  return text.isWellFormed() && !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text);
}
