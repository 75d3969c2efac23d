//! A mark that cannot be forged outside this crate.

use std::ops::Deref;

/// Something that signatures or signed digests vouch for. Only the verifier makes one.
///
/// Functions that must not see unverified data take a `Verified<T>`, and the compiler keeps watch:
///
/// ```compile_fail
/// let forged = trust::Verified(b"not checked by anybody".to_vec());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// To be called where a check has just succeeded, and nowhere else.
    pub(crate) const fn vouch(value: T) -> Self {
        Self(value)
    }

    /// The content, without its mark.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
