package warehouse;

/** Finding a storage bin whose label was keyed in wrongly. */
public final class BinLabels {
    private BinLabels() {}

    /** Levenshtein's distance. */
    public static int levenshteinDistance(String source, String target) {
        int[][] costs = new int[source.length() + 1][target.length() + 1];
        for (int i = 0; i <= source.length(); i++) {
            costs[i][0] = i;
        }
        for (int j = 0; j <= target.length(); j++) {
            costs[0][j] = j;
        }
        for (int i = 1; i <= source.length(); i++) {
            for (int j = 1; j <= target.length(); j++) {
                int substitution = source.charAt(i - 1) == target.charAt(j - 1) ? 0 : 1;
                int best = Math.min(costs[i - 1][j], costs[i][j - 1]) + 1;
                costs[i][j] = Math.min(best, costs[i - 1][j - 1] + substitution);
            }
        }
        return costs[source.length()][target.length()];
    }
}
