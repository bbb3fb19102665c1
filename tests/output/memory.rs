//! A run may print more than there is memory.

use super::*;
use runnel::runs::output::{FileLogStore, RunEnd, RunOutput};
use tempfile::TempDir;

/// How much is printed, in MB, at scale 1.
const PRINTED: usize = 200;
/// By how much memory may grow, in kB.
pub const ALLOWED: u64 = 32 * 1024;

pub fn megabytes() -> usize {
    let told = std::env::var("RUNNEL_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    PRINTED * usize::max(told, 1)
}

/// A line of `/proc/self/status`, in kB.
pub fn measured(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// Prints faster than a disk writes, then reads all of it, and the last lines: a process of its own.
pub async fn flood(store: FileLogStore) {
    let store: Arc<dyn LogStore> = Arc::new(store);
    // The program itself comes into memory as it is used, and is not what is measured.
    print_and_read(&store, "warm", 256).await;
    let before = measured("VmRSS");
    print_and_read(&store, "flood", megabytes() * 256).await;
    println!("grew by {} kB", measured("VmHWM").saturating_sub(before));
}

async fn print_and_read(store: &Arc<dyn LogStore>, run: &str, lines: usize) {
    let output = RunOutput::begin(store.clone(), id(run), "flood", 1);
    let line = "x".repeat(4095);
    for _ in 0..lines {
        output.stdout(&line).await.unwrap();
    }
    let sealed = output.seal(RunEnd::new(Status::Success)).await.unwrap();
    assert_eq!((sealed.stdout_lines, sealed.dropped_lines), (lines as u64, 0));
    let read = store.stream_stdout(&id(run), StreamOptions::default());
    assert_eq!(read.fold(0, |count, line| async move { count + usize::from(line.is_ok()) }).await, lines);
    assert_eq!(store.stream_stdout(&id(run), StreamOptions::last(10)).count().await, 10);
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
