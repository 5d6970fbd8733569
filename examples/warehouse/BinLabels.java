package warehouse;

/** Finding a storage bin whose label was keyed in wrongly. */
public final class BinLabels {
    private BinLabels() {}

    /** Levenshtein's distance. */
    public static int distance(String keyed, String label) {
        int[][] cost = new int[keyed.length() + 1][label.length() + 1];
        for (int i = 0; i <= keyed.length(); i++) {
            cost[i][0] = i;
        }
        for (int j = 0; j <= label.length(); j++) {
            cost[0][j] = j;
        }
        for (int i = 1; i <= keyed.length(); i++) {
            for (int j = 1; j <= label.length(); j++) {
                int change = keyed.charAt(i - 1) == label.charAt(j - 1) ? 0 : 1;
                int best = Math.min(cost[i - 1][j], cost[i][j - 1]) + 1;
                cost[i][j] = Math.min(best, cost[i - 1][j - 1] + change);
            }
        }
        return cost[keyed.length()][label.length()];
    }
}
