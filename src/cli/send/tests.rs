//! What is sent, what is refused, and what the error says of it.

use std::io::Write;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;

/// Takes every line but those that say `bad`, and keeps what it took.
#[derive(Default)]
struct Taking(Mutex<Vec<Line>>);

#[async_trait]
impl Feeder for Taking {
    fn check(&self, line: &Line) -> Result<(), LineError> {
        let bad = line.text.starts_with(b"bad");
        if bad { Err(LineError::Bad { line: line.number, why: "missing field 'amount'".into() }) } else { Ok(()) }
    }

    async fn send(&self, lines: &[Line]) -> Result<Vec<EventId>, LineError> {
        self.0.lock().unwrap().extend_from_slice(lines);
        Ok(lines.iter().map(|line| EventId::new(line.number, 0)).collect())
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn sending(feeder: &Taking) -> Sending<'_> {
    Sending { feeder, name: "stdin".into(), sent: 0, bar: ProgressBar::hidden() }
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    let mut lines = Lines::new(&b"a\r\n\n  \nb\nc"[..]);
    let found: Vec<(u64, Vec<u8>)> = lines.page(10).unwrap().into_iter().map(|line| (line.number, line.text)).collect();
    assert_eq!(found, [(1, b"a".to_vec()), (4, b"b".to_vec()), (5, b"c".to_vec())]);
}

#[test]
fn every_bad_line_of_a_file_is_told_by_name_and_number() {
    let file = file("ok\nbad\nok\nbad\n");
    let path = file.path().to_str().unwrap();

    let refused = check_all(&Taking::default(), path).unwrap_err().to_string();

    assert!(refused.contains(&format!("{path}:2: missing field 'amount'\n{path}:4: missing")), "{refused}");
    assert!(refused.ends_with("nothing was sent: 2 of 4 lines are bad"), "{refused}");
}

#[test]
fn many_bad_lines_are_counted_and_not_all_told() {
    let file = file(&"bad\n".repeat(1_000));
    let refused = check_all(&Taking::default(), file.path().to_str().unwrap()).unwrap_err().to_string();

    assert!(refused.lines().count() == TOLD + 2 && refused.contains("... and 980 more"), "{refused}");
}

#[test]
fn a_file_that_is_not_there_is_not_found() {
    assert_eq!(check_all(&Taking::default(), "no/such.jsonl").unwrap_err().code(), 3);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_comes_through_a_pipe_is_sent_up_to_the_first_bad_line() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"one\ntwo\nbad\nthree\n").unwrap();
    drop(writer);
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    let feeder = Taking::default();

    let refused = sending(&feeder).send_as_it_comes(&path).await.unwrap_err().to_string();

    assert_eq!(refused, "stdin:3: missing field 'amount'\n2 events were sent before");
    assert_eq!(feeder.0.lock().unwrap().iter().map(|line| line.number).collect::<Vec<_>>(), [1, 2]);
}
