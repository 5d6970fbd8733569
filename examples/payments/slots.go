package payments

import "sort"

// Slot is a span of minutes since midnight in which cash may be collected; End is not part of it.
type Slot struct {
	Start, End int
}

// Coalesce joins slots that overlap or touch. The result is sorted; the argument is left alone.
func Coalesce(slots []Slot) []Slot {
	ordered := make([]Slot, 0, len(slots))
	for _, s := range slots {
		if s.Start < s.End {
			ordered = append(ordered, s)
		}
	}
	sort.Slice(ordered, func(i, j int) bool { return ordered[i].Start < ordered[j].Start })

	var joined []Slot
	for _, s := range ordered {
		last := len(joined) - 1
		if last < 0 || s.Start > joined[last].End {
			joined = append(joined, s)
			continue
		}
		if s.End > joined[last].End {
			joined[last].End = s.End
		}
	}
	return joined
}
