//! The guide holds together: its summary lists every page, and every link in it, and in what lies beside it, leads
//! somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of a page that are prose.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let fence = line.starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The targets of links, each with its line.
fn links(text: &str) -> Vec<(usize, &str)> {
    let targets = |(number, line)| {
        let after = str::split(line, "](").skip(1);
        after.filter_map(move |rest: &str| Some((number + 1, rest.split_once(')')?.0)))
    };
    prose(text).flat_map(targets).collect()
}

/// The anchors of a page's headings, as mdBook and GitHub make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text)
        .map(|(_, line)| line)
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    headings.map(anchor).collect()
}

/// Why a link of that page leads nowhere, if so.
fn broken(page: &Path, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if file.is_empty() { page.to_owned() } else { page.parent()?.join(file) };
    let Ok(text) = fs::read_to_string(&file).or_else(|_| fs::read_dir(&file).map(|_| String::new())) else {
        return Some(format!("there is no file {}", file.display()));
    };
    (!anchor.is_empty() && !anchors(&text).contains(anchor))
        .then(|| format!("{} has no heading `{anchor}`, but {:?}", file.display(), anchors(&text)))
}

fn pages() -> Vec<PathBuf> {
    let pages = fs::read_dir(root().join("docs/src")).unwrap();
    let mut pages: Vec<_> = pages.map(|page| page.unwrap().path()).collect();
    pages.sort();
    pages
}

#[test]
fn every_link_leads_somewhere() {
    let beside = ["README.md", "CHANGELOG.md"].map(|page| root().join(page));
    let mut wrong = Vec::new();
    for page in pages().into_iter().chain(beside) {
        let text = fs::read_to_string(&page).unwrap();
        for (line, target) in links(&text) {
            wrong.extend(broken(&page, target).map(|why| format!("{}:{line}: {why}", page.display())));
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_summary_lists_every_page_and_the_tests_run_every_page() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    let listed: BTreeSet<_> = links(&summary).into_iter().map(|(_, target)| target.to_owned()).collect();
    let there: BTreeSet<_> =
        pages().iter().map(|page| page.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let there: BTreeSet<_> = there.into_iter().filter(|page| page != "SUMMARY.md").collect();

    assert_eq!(listed, there);
    for page in there {
        assert!(
            lib.contains(&format!("/docs/src/{page}\"")),
            "the code of {page} is no doc test: see `guide` in src/lib.rs"
        );
    }
}

#[test]
fn the_check_itself_finds_what_is_missing() {
    let page = root().join("docs/src/delivery.md");

    assert_eq!(links("see [a](b.md#c) and\n```\n[no](link)\n```\n[d](e)"), [(1, "b.md#c"), (5, "e")]);
    assert_eq!(
        anchors("# What is *fixed*, and what is not\n## `a_b`"),
        ["a_b", "what-is-fixed-and-what-is-not"].map(Into::into).into()
    );
    assert!(broken(&page, "nowhere.md").is_some());
    assert!(broken(&page, "#nowhere").is_some());
    assert_eq!(broken(&page, "#order"), None);
}

#[test]
fn no_code_block_of_the_guide_is_left_out() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let ignored = text.lines().position(|line| line.starts_with("```rust") && line.contains("ignore"));
        assert_eq!(ignored, None, "{}: use `no_run` for what cannot run", page.display());
    }
}
