//! The map service drops requests when it is busy.

use rand::Rng;
use std::thread::sleep;
use std::time::Duration;

pub struct RetryPolicy {
    pub max_attempts: i32,
    /// Seconds before the second attempt.
    pub base: f64,
    pub cap: f64,
}

/// Run `operation` again after a failure, with exponentially growing, jittered pauses. The last error is returned.
pub fn retry_backoff<T, E>(policy: &RetryPolicy, mut operation: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let mut rng = rand::thread_rng();
    let mut attempt = 0;
    loop {
        match operation() {
            Ok(value) => return Ok(value),
            Err(error) => {
                attempt += 1;
                if attempt >= policy.max_attempts {
                    return Err(error);
                }
                let delay = (policy.base * 2f64.powi(attempt - 1)).min(policy.cap);
                let jitter = rng.gen_range(0.5..1.0);
                sleep(Duration::from_secs_f64(delay * jitter));
            }
        }
    }
}
