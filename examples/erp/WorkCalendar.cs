using System;
using System.Collections.Generic;

namespace Erp;

/// <summary>Which days count when a delivery is promised.</summary>
public sealed class WorkCalendar
{
    private readonly HashSet<DateOnly> _holidays;

    public WorkCalendar(IEnumerable<DateOnly> holidays)
    {
        _holidays = new HashSet<DateOnly>(holidays);
    }

    /// <summary>Number of business days between two dates, both of them included.</summary>
    public int CountBusinessDays(DateOnly from, DateOnly to)
    {
        int days = 0;
        for (DateOnly day = from; day <= to; day = day.AddDays(1))
        {
            if (day.DayOfWeek == DayOfWeek.Saturday || day.DayOfWeek == DayOfWeek.Sunday)
            {
                continue;
            }
            if (!_holidays.Contains(day))
            {
                days++;
            }
        }
        return days;
    }
}
