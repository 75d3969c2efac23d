//! How long checking a document of 64 KiB takes, from bytes to problems. Prints one line: median of many runs.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use cloud_config::check;

/// Size of the document, in bytes.
const DOCUMENT_BYTES: usize = 64 * 1024;
/// How often it is checked.
const RUNS: usize = 51;

fn document() -> String {
    let mut text = "#cloud-config\ncoreos:\n  units:\n".to_owned();
    for number in 0.. {
        text += &format!(
            "    - name: unit-{number}.service\n      enable: yes\n      content: |\n        [Unit]\n        Description=Unit {number}\n        [Service]\n        \
             ExecStart=/usr/bin/docker run --rm --name unit-{number} busybox\n        [Install]\n        WantedBy=multi-user.target\n"
        );
        if text.len() >= DOCUMENT_BYTES {
            break;
        }
    }
    text
}

fn main() {
    let text = document();
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let checked = check::any(text.as_bytes());
            assert!(checked.config.is_some());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("validate {} bytes: median {:.2?}, slowest {:.2?}", text.len(), times[RUNS / 2], times[RUNS - 1]);
}
