//! Street names as drivers dictate them.

/// The least number of single-character edits between two street names.
pub fn typo_count(dictated: &str, mapped: &str) -> usize {
    let target: Vec<char> = mapped.chars().collect();
    let mut costs: Vec<usize> = (0..=target.len()).collect();

    for (i, a) in dictated.chars().enumerate() {
        let mut diagonal = i;
        costs[0] = i + 1;
        for (j, &b) in target.iter().enumerate() {
            let replace = if a == b { diagonal } else { diagonal + 1 };
            diagonal = costs[j + 1];
            costs[j + 1] = replace.min(costs[j] + 1).min(diagonal + 1);
        }
    }
    costs[target.len()]
}
