//! Files: where they may be, and what is in them.

use super::Lints;
use crate::check::Rule;
use crate::model::Config;
use crate::model::file::WriteFile;
use crate::model::value::AbsolutePath;

/// Parts of the image that nothing can be written to, with what to do instead.
const READ_ONLY: &[(&str, &str)] = &[
    ("/usr", "the operating system is read-only; use `/etc`, `/opt` or `/usr/local`"),
    ("/bin", "the operating system is read-only; use `/opt/bin` or `/usr/local/bin`"),
    ("/sbin", "the operating system is read-only; use `/opt/bin` or `/usr/local/sbin`"),
    ("/lib", "the operating system is read-only; use `/etc` or `/opt`"),
    ("/lib64", "the operating system is read-only; use `/opt`"),
    ("/boot", "the boot partition belongs to the updater"),
    ("/efi", "the boot partition belongs to the updater"),
    ("/proc", "use `sysctl` for kernel parameters"),
    ("/sys", "use a udev rule, or `kernel_modules` for parameters of modules"),
    ("/dev", "use a udev rule"),
];
/// The exception below `/usr`: it is on the state partition.
const WRITABLE: &str = "/usr/local";

pub(super) fn lint(config: &Config, lints: &mut Lints<'_>) {
    for file in &config.write_files {
        place(&file.path.value, file, lints);
        source(file, lints);
        if let Err(error) = file.decoded()
            && let Some(content) = &file.content
        {
            let hint = "`encoding` says how the content is written down; leave it out for plain text";
            lints.add(Rule::UndecodableContent, &content.place, error.to_string(), hint);
        }
    }
}

fn place(path: &AbsolutePath, file: &WriteFile, lints: &mut Lints<'_>) {
    if path.is_below(WRITABLE) {
        return;
    }
    if let Some((folder, hint)) = READ_ONLY.iter().find(|(folder, _)| path.is_below(folder)) {
        lints.add(Rule::InvalidPath, &file.path.place, format!("nothing can be written below `{folder}`"), hint);
    }
}

/// Where the content comes from: here, or an address with a digest.
fn source(file: &WriteFile, lints: &mut Lints<'_>) {
    match (&file.url, &file.sha256) {
        (Some(url), None) => {
            let hint = "add `sha256`: what comes from elsewhere is only used if it is what was meant";
            lints.absent(Rule::MissingKey, &url.place, "`url` needs `sha256`", hint);
        }
        (None, Some(digest)) => {
            lints.add(Rule::ConflictingKeys, &digest.place, "`sha256` is for `url`, which is missing", "remove it, or add `url`");
        }
        _ => {}
    }
    if let (Some(_), Some(content)) = (&file.url, &file.content) {
        lints.add(Rule::ConflictingKeys, &content.place, "a file has either `content` or `url`", "keep one of the two");
    }
    if let (Some(_), Some(encoding)) = (&file.url, &file.encoding) {
        lints.add(Rule::ConflictingKeys, &encoding.place, "`encoding` is for `content`; what `url` gives is written as it is", "remove it");
    }
}
