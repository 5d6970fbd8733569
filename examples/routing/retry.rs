//! The map service drops requests when it is busy.

use rand::Rng;
use std::thread::sleep;
use std::time::Duration;

pub struct RetryPolicy {
    pub max_attempts: u32,
    pub base: Duration,
    pub cap: Duration,
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
                let delay = policy.base.saturating_mul(2u32.saturating_pow(attempt - 1)).min(policy.cap);
                sleep(delay.mul_f64(rng.gen_range(0.5..1.0)));
            }
        }
    }
}
