//! `completions`: what a shell needs to complete a command line.

use clap_complete::Shell;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Examples for the help text of `program completions`.
#[must_use]
pub fn examples(program: &str) -> String {
    format!(
        "Examples:
  {program} completions bash > ~/.local/share/bash-completion/completions/{program}
  {program} completions zsh > ~/.zfunc/_{program}
  {program} completions fish > ~/.config/fish/completions/{program}.fish"
    )
}

impl Args {
    /// The script for `command`, without a newline at its end.
    #[must_use]
    pub fn script(&self, command: clap::Command) -> String {
        script(self.shell, command)
    }
}

fn script(shell: Shell, mut command: clap::Command) -> String {
    let program = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, program, &mut script);
    String::from_utf8_lossy(&script).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{Command, ValueEnum};

    use super::*;

    #[test]
    fn every_shell_completes_every_subcommand() {
        let command = || Command::new("ferry").subcommand(Command::new("cross")).subcommand(Command::new("moor"));
        for shell in Shell::value_variants() {
            let script = script(*shell, command());
            for word in ["ferry", "cross", "moor"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
