//! What past trips say about a road.

/// The middle of the observed travel times, in seconds; outliers do not move it much.
pub fn typical_seconds(observed: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = observed.iter().copied().filter(|seconds| seconds.is_finite()).collect();
    if sorted.is_empty() {
        return None;
    }
    sorted.sort_by(|a, b| a.total_cmp(b));
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        Some(sorted[middle])
    } else {
        Some((sorted[middle - 1] + sorted[middle]) / 2.0)
    }
}
