package warehouse;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** When the loading docks are open. */
public final class OpeningHours {
    public record Interval(int start, int end) {}

    private OpeningHours() {}

    /** The union of all docks' hours as the fewest possible ranges. */
    public static List<Interval> mergeIntervals(List<Interval> intervals) {
        List<Interval> sorted = new ArrayList<>(intervals);
        sorted.removeIf(interval -> interval.start() >= interval.end());
        sorted.sort(Comparator.comparingInt(Interval::start));

        List<Interval> merged = new ArrayList<>();
        for (Interval interval : sorted) {
            Interval previous = merged.isEmpty() ? null : merged.get(merged.size() - 1);
            if (previous != null && interval.start() <= previous.end()) {
                int end = Math.max(previous.end(), interval.end());
                merged.set(merged.size() - 1, new Interval(previous.start(), end));
            } else {
                merged.add(interval);
            }
        }
        return merged;
    }
}
