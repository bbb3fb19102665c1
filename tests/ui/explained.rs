//! Checks of the errors that the compiler words itself: only the parts that are ours, and where they are told.
//!
//! Each file is compiled alone. A line that must be refused ends with `//~ part of the text`; `//~^ another part` below
//! it asks for more of the same error. Every error must be expected, so that a mistake is one error and not three; what
//! else the compiler adds, and how, is its own business and changes with its versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Line number to what an error there must say.
type Expected = BTreeMap<u64, Vec<String>>;

/// Panics with everything that is not as the files in these folders say.
pub(crate) fn check(folders: &[&str]) {
    check_as("explained", &[], folders);
}

/// The same for files that are tests: elsewhere the compiler does not look into them.
pub(crate) fn check_tests(folders: &[&str]) {
    check_as("explained-tests", &["--profile", "test"], folders);
}

fn check_as(package: &str, options: &[&str], folders: &[&str]) {
    let files: Vec<PathBuf> = folders.iter().flat_map(|folder| files_in(folder)).collect();
    assert!(!files.is_empty(), "there are no files in {folders:?}");
    let messages = compiled(package, options, &files);
    let complaints: Vec<String> = files.iter().flat_map(|file| complaints(file, &messages)).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn files_in(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files = entries.map(|entry| entry.expect("the folder can be read").path());
    files.filter(|file| file.extension().is_some_and(|is| is == "rs")).collect()
}

/// The errors of all files, one package with a binary for each.
fn compiled(name: &str, options: &[&str], files: &[PathBuf]) -> Vec<Value> {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&package).expect("the target folder can be written to");
    std::fs::write(package.join("Cargo.toml"), manifest(name, files)).expect("the target folder can be written to");
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    std::fs::copy(lock, package.join("Cargo.lock")).expect("the package has a lock file");
    let output = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--quiet", "--bins", "--keep-going", "--message-format=json"])
        .args(options)
        .current_dir(&package)
        // What is checked already, the library and all it needs, is not checked again.
        .env("CARGO_TARGET_DIR", package.join("../.."))
        .output()
        .expect("cargo runs: it runs this test");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("cargo writes JSON"));
    let messages: Vec<Value> = lines.filter(|line| line["reason"] == "compiler-message").collect();
    assert!(!messages.is_empty(), "cargo could not check: {}", String::from_utf8_lossy(&output.stderr));
    messages
}

fn manifest(name: &str, files: &[PathBuf]) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut text = format!(
        "[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[profile.dev]\n\
         debug = \"line-tables-only\"\n\n[profile.dev.package.\"*\"]\ndebug = false\n\n[dependencies]\n\
         runnel-streams = {{ path = {root:?} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\
         tokio = {{ version = \"1\", features = [\"rt\"] }}\n"
    );
    for file in files {
        text += &format!("\n[[bin]]\nname = \"{}\"\npath = {file:?}\n", binary(file));
    }
    text
}

/// `tests/ui/processor/types/made.rs` is built as `processor-types-made`.
fn binary(file: &Path) -> String {
    let parts: Vec<_> = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    parts[parts.len() - 3..].join("-")
}

fn complaints(file: &Path, messages: &[Value]) -> Vec<String> {
    let mut expected = expected(&std::fs::read_to_string(file).expect("the file can be read"));
    let mut complaints = Vec::new();
    let here = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(file).display();
    let errors = messages.iter().filter(|message| message["target"]["name"] == binary(file).as_str());
    for error in errors.map(|message| &message["message"]).filter(|message| message["level"] == "error") {
        let Some(line) = primary_line(error) else { continue };
        let rendered = error["rendered"].as_str().unwrap_or_default();
        match expected.remove(&line) {
            None => complaints.push(format!("{here}:{line}: this error is not expected:\n{rendered}")),
            Some(parts) => {
                let missing = parts.iter().filter(|part| !rendered.contains(part.as_str()));
                complaints.extend(missing.map(|part| format!("{here}:{line}: `{part}` is not in:\n{rendered}")));
            }
        }
    }
    let silent = expected.into_iter().map(|(line, parts)| format!("{here}:{line}: no error says {parts:?}"));
    complaints.extend(silent);
    complaints
}

/// The line an error points at; none for the closing remarks. Of an error inside of a macro: where that is called.
fn primary_line(error: &Value) -> Option<u64> {
    let spans = error["spans"].as_array()?;
    let mut span = spans.iter().find(|span| span["is_primary"] == true)?;
    while span["expansion"]["span"].is_object() {
        span = &span["expansion"]["span"];
    }
    span["line_start"].as_u64()
}

fn expected(text: &str) -> Expected {
    let mut expected = Expected::new();
    let mut last = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let Some((_, part)) = line.split_once("//~") else { continue };
        match part.strip_prefix('^') {
            Some(more) => expected.entry(last).or_default().push(more.trim().to_owned()),
            None => {
                last = number;
                expected.entry(last).or_default().push(part.trim().to_owned());
            }
        }
    }
    expected
}
