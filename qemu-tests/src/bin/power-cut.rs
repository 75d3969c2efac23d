//! Looks at a recording of an update again, without a machine.
//!
//! ```text
//! power-cut explore RECORDING            explores it again and writes the certificate beside it
//! power-cut show RECORDING MOMENT.STATE  prints what the next power-on would find in one state
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::bail;
use camino::Utf8Path;
use qemu_tests::power_cut::explore::{Plan, SEED, explore, find};
use qemu_tests::power_cut::judge::Judge;
use qemu_tests::power_cut::recording::Recording;
use qemu_tests::power_cut::report::{Certificate, HTML};

/// States of the state partition that are checked.
const FILE_SYSTEM_CHECKS: usize = 40;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["explore", folder] => again(Utf8Path::new(folder)),
        ["show", folder, state] => show(Utf8Path::new(folder), state),
        _ => bail!("say `power-cut explore RECORDING` or `power-cut show RECORDING MOMENT.STATE`"),
    }
}

fn again(folder: &Utf8Path) -> anyhow::Result<ExitCode> {
    let recording = Recording::read(folder)?;
    let found = explore(&recording, &Plan::for_update(&recording, FILE_SYSTEM_CHECKS)?, folder)?;
    Certificate::new(&recording, folder, &found, &BTreeMap::new()).write(folder)?;
    println!("{}", serde_json::to_string_pretty(&found.counts)?);
    for (meaning, class) in &found.classes {
        println!("{} states such as {}: {meaning}", class.states, class.representative);
    }
    for (rule, count) in &found.broken {
        println!("{rule} is broken {count} times");
    }
    println!("{}", folder.join(HTML));
    Ok(if found.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(folder: &Utf8Path, state: &str) -> anyhow::Result<ExitCode> {
    let recording = Recording::read(folder)?;
    let certificate = Plan::for_update(&recording, 0)?.certificate;
    find(&recording, SEED, state.parse()?, |timeline, state| {
        println!("{:#?}", Judge::new(certificate).facts(state, &timeline.map)?);
        Ok(ExitCode::SUCCESS)
    })
}
