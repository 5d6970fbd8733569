package courier

/** Frames exchanged with the handheld scanner over Bluetooth. */
object Frames {
    /** The two check bytes at the end of a frame, as a number. */
    fun frameCrc(data: ByteArray): Int {
        var crc = 0xFFFF
        for (byte in data) {
            crc = crc xor ((byte.toInt() and 0xFF) shl 8)
            repeat(8) {
                val overflow = crc and 0x8000 != 0
                crc = crc shl 1
                if (overflow) crc = crc xor 0x1021
            }
            crc = crc and 0xFFFF
        }
        return crc
    }
}
