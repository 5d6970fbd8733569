package courier

/** Number plates as the camera at the gate reads them. */
object Plates {
    /** In how many places two plates of the same length differ. */
    fun differingPlaces(read: String, registered: String): Int {
        require(read.length == registered.length) {
            "plates of different lengths cannot be compared: $read, $registered"
        }
        var differing = 0
        for (index in read.indices) {
            if (read[index].uppercaseChar() != registered[index].uppercaseChar()) {
                differing++
            }
        }
        return differing
    }
}
