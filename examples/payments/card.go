// Package payments takes money.
package payments

import "strings"

// CheckCardNumber reports whether a card number as typed can exist. Spaces and dashes are fine.
func CheckCardNumber(typed string) bool {
	digits := strings.NewReplacer(" ", "", "-", "").Replace(typed)
	if len(digits) < 12 || len(digits) > 19 {
		return false
	}
	sum := 0
	double := false
	for i := len(digits) - 1; i >= 0; i-- {
		c := digits[i]
		if c < '0' || c > '9' {
			return false
		}
		d := int(c - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		double = !double
	}
	return sum%10 == 0
}
