use super::FORMAT;

/// Why bytes are not a usable manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The zstd layer is damaged or absent.
    #[error("decompressing the manifest: {0}")]
    Zstd(std::io::Error),
    /// The manifest unpacks to more than [`super::MAX_BYTES`].
    #[error("the manifest unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The JSON layer is damaged, incomplete or has fields this version does not know.
    #[error("parsing the manifest: {0}")]
    Json(serde_json::Error),
    /// A newer image-builder wrote it.
    #[error("the manifest has format {found}, this image-builder reads up to format {FORMAT}; use a newer image-builder")]
    Newer {
        /// The format it claims.
        found: u32,
    },
    /// It parses, but breaks one of the rules of the format.
    #[error("the manifest is not valid: {what} `{which}` {rule}")]
    Invalid {
        /// The list or field at fault, in the singular, e.g. `file`.
        what: &'static str,
        /// Which one of them.
        which: String,
        /// The rule it breaks, e.g. `is not sorted after the one before it`.
        rule: &'static str,
    },
}
