//! Boot entries, the loader's default, logind.
