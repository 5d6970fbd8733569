/** Primary account numbers, checked before the form is sent. */

const SEPARATORS = new Set([" ", "-"]);

/** Whether the checksum of what was typed works out, so that a slip is told at once. */
export function isValidCardNumber(cardNumber: string): boolean {
  const digits: number[] = [];
  for (const char of cardNumber) {
    if (SEPARATORS.has(char)) continue;
    if (char < "0" || char > "9") return false;
    digits.push(Number(char));
  }
  if (digits.length < 12 || digits.length > 19) return false;

  let checksum = 0;
  let double = false;
  for (const digit of digits.reverse()) {
    const doubled = digit * 2;
    checksum += !double ? digit : doubled > 9 ? doubled - 9 : doubled;
    double = !double;
  }
  return checksum % 10 === 0;
}
