//! How long a fork of a booted machine takes, beside the boot that it saves: `cargo bench --bench fork`, with the image in
//! `SLIPWAY_BENCH_IMAGE`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a measurement tells what it has measured")]

use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use qemu_tests::template::Templates;
use qemu_tests::vm::{Host, Spec};

const IMAGE_ENV: &str = "SLIPWAY_BENCH_IMAGE";

/// Forks that are measured one after the other.
const FORKS: usize = 7;
/// Forks that run at the same time.
const AT_ONCE: usize = 5;

fn main() -> anyhow::Result<()> {
    let Some(image) = std::env::var(IMAGE_ENV).ok().map(Utf8PathBuf::from) else {
        eprintln!("{IMAGE_ENV} names no image: nothing is measured");
        return Ok(());
    };
    let host = Host::probe()?;
    let spec = Spec::new(image);
    let dir = tempfile::tempdir()?;
    let logs = Utf8Path::from_path(dir.path()).unwrap_or(Utf8Path::new("."));
    let templates = Templates::new(logs.to_owned());

    let begun = Instant::now();
    drop(templates.fork("first", &spec, &host, &logs.join("first"))?);
    println!("boot, settle and keep a template                         {:8.1} s", begun.elapsed().as_secs_f64());

    let (mut answers, mut tests) = (Vec::new(), Vec::new());
    for number in 0..FORKS {
        let begun = Instant::now();
        let vm = templates.fork("fork", &spec, &host, &logs.join(format!("fork{number}")))?;
        answers.push(begun.elapsed().as_secs_f64());
        vm.guest().check("systemctl is-active docker.service")?;
        drop(vm);
        tests.push(begun.elapsed().as_secs_f64());
    }
    println!("fork until the first command has answered  (target  1 s) {:8.2} s", median(answers));
    println!("a test on a fork, with its end             (target  5 s) {:8.2} s", median(tests));

    let begun = Instant::now();
    let forks = (0..AT_ONCE).map(|number| templates.fork("fork", &spec, &host, &logs.join(format!("at-once{number}"))));
    let forks = forks.collect::<anyhow::Result<Vec<_>>>()?;
    println!("{AT_ONCE} forks that run at the same time                      {:8.2} s", begun.elapsed().as_secs_f64());
    drop(forks);
    Ok(())
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
