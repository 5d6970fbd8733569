/** Primary account numbers, checked before the form is sent. */

const SEPARATORS = new Set([" ", "-"]);

/** Whether the checksum of what was typed works out, so that a slip is told at once. */
export function isPlausiblePan(input: string): boolean {
  const digits: number[] = [];
  for (const char of input) {
    if (SEPARATORS.has(char)) continue;
    if (char < "0" || char > "9") return false;
    digits.push(Number(char));
  }
  if (digits.length < 12 || digits.length > 19) return false;

  const parity = digits.length % 2;
  const checksum = digits.reduce((acc, digit, position) => {
    const doubled = digit * 2;
    if (position % 2 !== parity) return acc + digit;
    return acc + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return checksum % 10 === 0;
}
