//! How fast dm-verity trees are made: gigabytes of data per second and core.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figure")]

use std::io::Write;
use std::time::Instant;

use image_builder::verity;
use uuid::Uuid;

/// Enough for a steady figure, little enough for the page cache.
const DATA_BYTES: usize = 1 << 30;
const RUNS: usize = 3;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, tree) = (dir.path().join("data"), dir.path().join("tree"));
    let mut file = std::fs::File::create(&data)?;
    let block: Vec<u8> = (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for _ in 0..DATA_BYTES / block.len() {
        file.write_all(&block)?;
    }
    let cores = std::thread::available_parallelism()?.get();
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let begun = Instant::now();
        verity::format(&data, &tree, b"salt", Uuid::nil())?;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    let rate = DATA_BYTES as f64 / best / 1e9;
    println!("verity tree: {rate:.2} GB/s on {cores} cores, {:.2} GB/s per core   (target 1 per core)", rate / cores as f64);
    Ok(())
}
