export interface Interval {
  from: number;
  to: number;
}

/** Bookable times of several drivers as one list without overlaps, earliest first. */
export function mergeIntervals(intervals: readonly Interval[]): Interval[] {
  const sorted = intervals
    .filter((interval) => interval.from < interval.to)
    .sort((a, b) => a.from - b.from);
  const merged: Interval[] = [];
  for (const { from, to } of sorted) {
    const previous = merged[merged.length - 1];
    if (previous !== undefined && from <= previous.to) {
      previous.to = Math.max(previous.to, to);
    } else {
      merged.push({ from, to });
    }
  }
  return merged;
}
