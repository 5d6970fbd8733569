//! Street names as drivers dictate them.

/// The least number of single-character edits between two street names.
pub fn levenshtein(source: &str, target: &str) -> usize {
    let target: Vec<char> = target.chars().collect();
    let mut costs: Vec<usize> = (0..=target.len()).collect();

    for (i, a) in source.chars().enumerate() {
        let mut diagonal = i;
        costs[0] = i + 1;
        for (j, &b) in target.iter().enumerate() {
            let substitution = if a == b { diagonal } else { diagonal + 1 };
            diagonal = costs[j + 1];
            costs[j + 1] = substitution.min(costs[j] + 1).min(diagonal + 1);
        }
    }
    costs[target.len()]
}
