//! Container images made of programs of this machine, for guests that have no registry.

use anyhow::{Context, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::cmd::Cmd;

/// The web server of the services; it is compiled together with this program.
const WEB_SERVER: &str = "web-server";
/// What a service's command lines may use beside it.
const SHELL: [&str; 2] = ["/bin/sh", "/bin/sleep"];

/// An archive for `docker import` with `/web-server`, `/bin/sh` and `/bin/sleep`.
pub(super) fn web() -> anyhow::Result<Vec<u8>> {
    let this = std::env::current_exe().context("asking where this program is")?;
    let server = Utf8PathBuf::try_from(this.with_file_name(WEB_SERVER)).context("the path of the web server")?;
    ensure!(server.exists(), "{server} is missing: `cargo build --package qemu-tests` makes it");
    of(&[server.as_path(), SHELL[0].into(), SHELL[1].into()])
}

/// A compressed archive with these programs, the libraries they need and an empty `/tmp`. Programs of the system keep their path, others
/// are in `/`.
pub(super) fn of(programs: &[&Utf8Path]) -> anyhow::Result<Vec<u8>> {
    let mut files: Vec<String> = programs.iter().map(ToString::to_string).collect();
    for program in programs {
        // `name => /path (address)`, and the loader alone as `/path (address)`.
        let listed = Cmd::new("ldd").arg(program.as_str()).text()?;
        files.extend(listed.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned)));
    }
    files.sort();
    files.dedup();
    // Links are followed: the archive holds the files under the names by which they are asked for.
    let mut tar = Cmd::new("tar").args(["--create", "--gzip", "--dereference", "--directory=/", "--file=-", "--no-recursion"]);
    tar = tar.arg(format!("--transform=s,.*/{WEB_SERVER}$,{WEB_SERVER},")).arg("tmp");
    for file in &files {
        tar = tar.arg(file.trim_start_matches('/'));
    }
    tar.output().context("packing programs for a container")
}
