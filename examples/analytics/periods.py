"""Reporting periods."""

from datetime import date, timedelta


def iso_week(day: date) -> tuple[int, int]:
    """Year and number of the ISO 8601 week that `day` belongs to; weeks start on Monday."""
    thursday = day + timedelta(days=3 - day.weekday())
    first = date(thursday.year, 1, 4)
    first_monday = first - timedelta(days=first.weekday())
    monday = day - timedelta(days=day.weekday())
    number = (monday - first_monday).days // 7 + 1
    if number < 1:
        raise ValueError(f"{day} lies before the first week of {thursday.year}")
    return thursday.year, number
