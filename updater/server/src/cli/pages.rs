//! `update-server completions` and `update-server man`

use std::io::Write;

/// Prints a completion script. Example: update-server completions bash
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// For which shell.
    shell: clap_complete::Shell,
}

/// Writes the completion script.
///
/// # Errors
/// It cannot be written.
pub fn completions(args: &Completions, command: &mut clap::Command, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, super::NAME, &mut script);
    Ok(out.write_all(&script)?)
}

/// Writes the manual page.
///
/// # Errors
/// It cannot be written.
pub fn man(command: clap::Command, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(out.write_all(&page)?)
}
