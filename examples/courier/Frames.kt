package courier

/** Frames exchanged with the handheld scanner over Bluetooth. */
object Frames {
    private const val POLYNOMIAL = 0x1021

    /** The two check bytes at the end of a frame, as a number. */
    fun checkBytes(payload: ByteArray): Int {
        var register = 0xFFFF
        for (byte in payload) {
            register = register xor ((byte.toInt() and 0xFF) shl 8)
            repeat(8) {
                val carry = register and 0x8000 != 0
                register = register shl 1
                if (carry) register = register xor POLYNOMIAL
            }
            register = register and 0xFFFF
        }
        return register
    }
}
