//! How long checking and planning a document of 64 KiB takes; the boot waits for it. Target: 20 ms.
//!
//! `cargo bench -p cloud-config --bench plan`

use std::io::Write;
use std::time::{Duration, Instant};

use cloud_config::metadata::Metadata;
use cloud_config::run::{Input, prepare};

/// Size of the document, in bytes.
const SIZE: usize = 64 * 1024;
/// How often it is done; the median is shown.
const ROUNDS: usize = 101;
/// More than this is too slow.
const TARGET: Duration = Duration::from_millis(20);

fn main() {
    let mut document = "#cloud-config\ncoreos:\n  units:\n".to_owned();
    let mut number = 0;
    while document.len() < SIZE / 2 {
        number += 1;
        document.push_str(&format!(
            "    - name: unit-{number}.service\n      command: start\n      enable: yes\n      content: |\n        [Service]\n        ExecStart=/usr/bin/true $private_ipv4\n        [Install]\n        WantedBy=multi-user.target\n"
        ));
    }
    document.push_str("write_files:\n");
    while document.len() < SIZE {
        number += 1;
        document.push_str(&format!(
            "  - path: /etc/app/file-{number}\n    permissions: 0644\n    content: |\n      a line of text\n      and another one\n"
        ));
    }
    let metadata = Metadata { private_ipv4: "10.0.0.5".parse().ok(), ..Metadata::default() };
    let size = document.len();
    let input = Input { documents: vec![("bench.yaml".to_owned(), document.into_bytes())], metadata, network_files: Vec::new() };
    let mut effects = 0;
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            effects = prepare(&input, None, false).plan.map_or(0, |plan| plan.effects.len() + plan.hash().to_string().len() - 64);
            begin.elapsed()
        })
        .collect();
    times.sort();
    let (median, worst) = (times[ROUNDS / 2], times[ROUNDS - 1]);
    let _ = writeln!(
        std::io::stdout(),
        "check and plan {size} bytes, {effects} effects: median {:.1} ms, worst {:.1} ms (target {} ms)",
        median.as_secs_f64() * 1e3,
        worst.as_secs_f64() * 1e3,
        TARGET.as_millis()
    );
    assert!(effects > 0, "the document is valid");
}
