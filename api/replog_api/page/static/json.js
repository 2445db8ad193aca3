/**
 * JSON whose integers may exceed 2^53: those become BigInt, all other numbers stay numbers.
 *
 * @typedef {number | bigint} Count A number that may be larger than a double keeps exactly.
 */

/** A string, which is passed over, or an integer of 16 digits or more. */
const STRING_OR_LONG = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g;
const LONG_DIGITS = /\d{16}/;
const MARK = "$integer";

/**
 * @param {string} text
 * @returns {any}
 */
export function parseJson(text) {
  if (!LONG_DIGITS.test(text)) return JSON.parse(text);
  const marked = text.replace(STRING_OR_LONG, (part) =>
    part[0] === '"' || Number.isSafeInteger(Number(part)) ? part : `{"${MARK}":"${part}"}`,
  );
  return JSON.parse(marked, (_, value) =>
    value && typeof value === "object" && typeof value[MARK] === "string" ? BigInt(value[MARK]) : value,
  );
}
