// Package payments takes money.
package payments

import "strings"

// IsValidCardNumber reports whether a card number as typed can exist. Spaces and dashes are fine.
func IsValidCardNumber(cardNumber string) bool {
	digits := strings.NewReplacer(" ", "", "-", "").Replace(cardNumber)
	if len(digits) < 12 || len(digits) > 19 {
		return false
	}
	checksum := 0
	double := false
	for i := len(digits) - 1; i >= 0; i-- {
		c := digits[i]
		if c < '0' || c > '9' {
			return false
		}
		digit := int(c - '0')
		if double {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		checksum += digit
		double = !double
	}
	return checksum%10 == 0
}
