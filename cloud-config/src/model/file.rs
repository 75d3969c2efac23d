//! Files.

use super::Located;
use super::section::section;
use super::value::{AbsolutePath, Content, Encoding, HttpUrl, Mode, Owner, Sha256};

section! {
    /// One file to write.
    pub struct WriteFile {
        /// Where the file goes.
        path: Located<AbsolutePath>,
        /// What is in it.
        content: Option<Located<Content>>,
        /// How `content` is encoded.
        encoding: Option<Located<Encoding>>,
        /// Fetches the content from here instead; needs `sha256`.
        url: Option<Located<HttpUrl>>,
        /// SHA-256 of what `url` gives, 64 hexadecimal digits.
        sha256: Option<Located<Sha256>>,
        /// Owner, as `user` or `user:group`; root if missing.
        owner: Option<Located<Owner>>,
        /// Mode in octal, with or without quotes; 0644 if missing.
        permissions: Option<Located<Mode>> | "mode",
        /// Adds to the end of the file, unless the file already ends with it, instead of replacing it.
        append: Option<Located<bool>>,
        /// Writes after users, groups and the other files, for a file that belongs to a new user.
        defer: Option<Located<bool>>,
    }
    replaced by replaces;
}

impl WriteFile {
    /// Whether the content is added to what is there.
    #[must_use]
    pub fn appends(&self) -> bool {
        self.append.as_ref().is_some_and(|append| append.value)
    }

    /// The path whose earlier description this one takes the place of; additions take nobody's place.
    fn replaces(&self) -> Option<String> {
        (!self.appends()).then(|| self.path.as_str().to_owned())
    }

    /// The bytes of the file as `encoding` gives them; `None` for a file from a URL.
    ///
    /// # Errors
    /// When the content is not what `encoding` says, or unpacks to more than [`super::value::MAX_CONTENT_BYTES`].
    pub fn decoded(&self) -> Result<Option<Vec<u8>>, super::value::ContentError> {
        let encoding = self.encoding.as_ref().map_or(Encoding::Plain, |encoding| encoding.value);
        match (&self.content, &self.url) {
            (None, Some(_)) => Ok(None),
            (None, None) => Ok(Some(Vec::new())),
            (Some(content), _) => content.decode(encoding).map(Some),
        }
    }
}
