package courier

import kotlin.math.asin
import kotlin.math.cos
import kotlin.math.pow
import kotlin.math.sin
import kotlin.math.sqrt

data class Position(val latitude: Double, val longitude: Double)

private const val EARTH_KM = 6371.0

/** How far a drone would fly from [from] to [to], in kilometres. */
fun flightDistance(from: Position, to: Position): Double {
    val phi1 = Math.toRadians(from.latitude)
    val phi2 = Math.toRadians(to.latitude)
    val deltaPhi = phi2 - phi1
    val deltaLambda = Math.toRadians(to.longitude - from.longitude)

    val h = sin(deltaPhi / 2).pow(2) +
        cos(phi1) * cos(phi2) * sin(deltaLambda / 2).pow(2)
    return 2 * EARTH_KM * asin(sqrt(h.coerceAtMost(1.0)))
}
