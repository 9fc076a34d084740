//! `--memo`: the same input gives the remembered output, so that a client's own cost can be measured without the model's.

use std::collections::HashMap;

/// Remembered results, keyed by everything they depend on. Switched off, it remembers nothing.
#[derive(Default)]
pub struct Memo {
    enabled: bool,
    results: HashMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl Memo {
    /// An empty store.
    pub fn new(enabled: bool) -> Self {
        Self { enabled, ..Self::default() }
    }

    /// The remembered result for `key()`, or that of `compute`, remembered if it is one.
    /// # Errors
    /// Those of `compute`.
    pub fn recall<E>(
        &mut self,
        key: impl FnOnce() -> Vec<u8>,
        compute: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        if !self.enabled {
            return compute();
        }
        let key = key();
        if let Some(result) = self.results.get(&key) {
            return Ok(result.clone());
        }
        let result = compute()?;
        let bytes = key.len() + result.len();
        if self.bytes + bytes > MAX_BYTES {
            self.results.clear();
            self.bytes = 0;
        }
        if bytes <= MAX_BYTES {
            self.bytes += bytes;
            self.results.insert(key, result.clone());
        }
        Ok(result)
    }
}

/// Per queue; when it is reached everything is forgotten.
const MAX_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_once_when_enabled() {
        for (enabled, expected) in [(true, 1), (false, 3)] {
            let mut memo = Memo::new(enabled);
            let mut computed = 0;
            for _ in 0..3 {
                let result = memo.recall(
                    || vec![1],
                    || {
                        computed += 1;
                        Ok::<_, ()>(vec![9])
                    },
                );
                assert_eq!(result, Ok(vec![9]));
            }
            assert_eq!(computed, expected);
        }
    }

    #[test]
    fn errors_are_not_remembered() {
        let mut memo = Memo::new(true);
        assert_eq!(memo.recall(|| vec![1], || Err("no")), Err("no"));
        assert_eq!(memo.recall(|| vec![1], || Ok::<_, &str>(vec![2])), Ok(vec![2]));
    }

    #[test]
    fn stays_bounded() {
        let mut memo = Memo::new(true);
        for index in 0..80u8 {
            memo.recall(|| vec![index; 1 << 20], || Ok::<_, ()>(vec![])).unwrap();
        }
        assert!(memo.bytes <= MAX_BYTES && memo.results.len() < 80);
    }
}
