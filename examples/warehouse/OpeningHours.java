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
            int last = merged.size() - 1;
            if (last < 0 || interval.start() > merged.get(last).end()) {
                merged.add(interval);
            } else if (interval.end() > merged.get(last).end()) {
                merged.set(last, new Interval(merged.get(last).start(), interval.end()));
            }
        }
        return merged;
    }
}
