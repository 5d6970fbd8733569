package warehouse;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;

/** When the loading docks are open. */
public final class OpeningHours {
    public record Range(int begin, int end) {}

    private OpeningHours() {}

    /** The union of all docks' hours as the fewest possible ranges. */
    public static List<Range> union(List<Range> hours) {
        List<Range> queue = new ArrayList<>(hours);
        queue.removeIf(range -> range.begin() >= range.end());
        queue.sort(Comparator.comparingInt(Range::begin));

        Deque<Range> result = new ArrayDeque<>();
        for (Range next : queue) {
            Range top = result.peekLast();
            if (top == null || top.end() < next.begin()) {
                result.addLast(next);
            } else if (next.end() > top.end()) {
                result.removeLast();
                result.addLast(new Range(top.begin(), next.end()));
            }
        }
        return List.copyOf(result);
    }
}
