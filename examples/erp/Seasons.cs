using System;

namespace Erp;

/// <summary>Seasonal price lists switch by the number of the day.</summary>
public static class Seasons
{
    private static readonly int[] MonthLengths = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    /// <summary>1 for the first of January, 365 or 366 for New Year's Eve.</summary>
    public static int NumberOfDay(int year, int month, int dayOfMonth)
    {
        if (month < 1 || month > 12)
        {
            throw new ArgumentOutOfRangeException(nameof(month));
        }
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        int number = dayOfMonth;
        for (int earlier = 0; earlier < month - 1; earlier++)
        {
            number += MonthLengths[earlier];
        }
        return leap && month > 2 ? number + 1 : number;
    }
}
