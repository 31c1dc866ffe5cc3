/** What a tag may be: the limits AWS documents for tags of every service (AWS General Reference, "Tag naming limits and requirements"). */
import { validationException } from '../base/errors.ts';

const tagsPerResourceMax = 50;
const keyLengthMax = 128;
const valueLengthMax = 256;
const tagText = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
const allowedText = 'letters, digits, spaces and _ . : / = + - @';

/** Throws ValidationException when a tag is not allowed; `existing` are the keys that the resource has already. */
export function checkTags(tags: Readonly<Record<string, string>>, existing: readonly string[] = []): void {
  checkTagKeys(Object.keys(tags));
  for (const value of Object.values(tags)) {
    if (Array.from(value).length > valueLengthMax) throw validationException(`A tag value must have at most ${valueLengthMax} characters.`);
    if (!tagText.test(value)) throw validationException(`A tag value may hold ${allowedText} only.`);
  }
  if (new Set([...existing, ...Object.keys(tags)]).size > tagsPerResourceMax) {
    throw validationException(`A resource can have at most ${tagsPerResourceMax} tags.`);
  }
}

export function checkTagKeys(keys: readonly string[]): void {
  if (keys.length > tagsPerResourceMax) throw validationException(`At most ${tagsPerResourceMax} tags can be named in one request.`);
  for (const key of keys) {
    const length = Array.from(key).length;
    if (length < 1 || length > keyLengthMax) throw validationException(`A tag key must have 1 to ${keyLengthMax} characters.`);
    if (!tagText.test(key)) throw validationException(`A tag key may hold ${allowedText} only.`);
    if (/^aws:/i.test(key)) throw validationException('Tag keys that begin with aws: are reserved.');
  }
}
