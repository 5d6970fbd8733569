package payments

const adlerModulus = 65521

// ReceiptSum is the checksum printed at the foot of a receipt (Adler-32).
func ReceiptSum(receipt []byte) uint32 {
	low, high := uint32(1), uint32(0)
	for len(receipt) > 0 {
		chunk := receipt
		if len(chunk) > 5552 {
			chunk = chunk[:5552]
		}
		for _, b := range chunk {
			low += uint32(b)
			high += low
		}
		low %= adlerModulus
		high %= adlerModulus
		receipt = receipt[len(chunk):]
	}
	return high<<16 | low
}
