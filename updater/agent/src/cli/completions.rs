//! `completions`: what a shell needs to complete our command line.

use std::process::ExitCode;

use clap_complete::Shell;

use super::Ui;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater completions bash > ~/.local/share/bash-completion/completions/updater
  updater completions zsh > ~/.zfunc/_updater
  updater completions fish > ~/.config/fish/completions/updater.fish")]
pub(super) struct Args {
    /// The shell.
    shell: Shell,
}

/// Runs the subcommand.
///
/// # Errors
/// Never; every shell that parses is known.
pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), super::NAME, &mut script);
    ui.line(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_every_subcommand() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut super::super::command(), super::super::NAME, &mut script);
            let script = String::from_utf8(script).unwrap();
            for subcommand in super::super::command().get_subcommands() {
                assert!(script.contains(subcommand.get_name()), "{shell}: {}", subcommand.get_name());
            }
        }
    }
}
