package payments

import "sort"

// Interval is a span of minutes since midnight in which cash may be collected; End is not part of it.
type Interval struct {
	Start, End int
}

// MergeIntervals joins slots that overlap or touch. The result is sorted; the argument is left alone.
func MergeIntervals(intervals []Interval) []Interval {
	sorted := make([]Interval, 0, len(intervals))
	for _, interval := range intervals {
		if interval.Start < interval.End {
			sorted = append(sorted, interval)
		}
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Start < sorted[j].Start })

	var merged []Interval
	for _, interval := range sorted {
		last := len(merged) - 1
		if last < 0 || interval.Start > merged[last].End {
			merged = append(merged, interval)
			continue
		}
		if interval.End > merged[last].End {
			merged[last].End = interval.End
		}
	}
	return merged
}
