//! A run may print more than there is memory.

use super::*;
use runnel::runs::output::{FileLogStore, RunEnd, RunOutput};
use tempfile::TempDir;

/// How much is printed, in MB, at scale 1.
const PRINTED: usize = 200;
/// By how much memory may grow, in kB.
const ALLOWED: u64 = 32 * 1024;

fn megabytes() -> usize {
    let told = std::env::var("RUNNEL_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    PRINTED * usize::max(told, 1)
}

/// A line of `/proc/self/status`, in kB.
fn measured(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// Prints faster than a disk writes, then reads all of it, and the last lines: a process of its own.
pub async fn flood(store: FileLogStore) {
    let before = measured("VmRSS");
    let store: Arc<dyn LogStore> = Arc::new(store);
    let output = RunOutput::begin(store.clone(), id("flood"), "flood", 1);
    let line = "x".repeat(4095);
    let lines = megabytes() * 256;
    for _ in 0..lines {
        output.stdout(&line).await.unwrap();
    }
    let sealed = output.seal(RunEnd::new(Status::Success)).await.unwrap();
    assert_eq!((sealed.stdout_lines, sealed.dropped_lines), (lines as u64, 0));
    let read = store.stream_stdout(&id("flood"), StreamOptions::default());
    assert_eq!(read.fold(0, |count, line| async move { count + usize::from(line.is_ok()) }).await, lines);
    assert_eq!(store.stream_stdout(&id("flood"), StreamOptions::last(10)).count().await, 10);
    println!("grew by {} kB", measured("VmHWM").saturating_sub(before));
}

#[test]
fn two_hundred_megabytes_of_output_cost_less_than_thirty_two_of_memory() {
    let folder = TempDir::new().unwrap();

    let child = child::command("flood", folder.path()).output().unwrap();

    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    let grew = said.lines().find_map(|line| line.strip_prefix("grew by ")?.strip_suffix(" kB")).unwrap();
    let grew: u64 = grew.parse().unwrap();
    println!("{} MB printed and read; memory grew by {grew} kB", megabytes());
    assert!(grew < ALLOWED, "memory grew by {grew} kB");
}
