"""Distances between depots and customers."""

import math

EARTH_RADIUS_KM = 6371.0


def great_circle_km(start: tuple[float, float], end: tuple[float, float]) -> float:
    """Distance over the surface between two (latitude, longitude) pairs given in degrees."""
    lat1, lon1 = map(math.radians, start)
    lat2, lon2 = map(math.radians, end)
    half_dlat = (lat2 - lat1) / 2
    half_dlon = (lon2 - lon1) / 2
    chord = math.sin(half_dlat) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin(half_dlon) ** 2
    chord = min(1.0, chord)
    angle = 2 * math.atan2(math.sqrt(chord), math.sqrt(1 - chord))
    return EARTH_RADIUS_KM * angle
