//! The house stands as it is drawn: rooms name only rooms below them, decisions are pure, time and tasks have one door
//! each, and tests do not sleep.
//!
//! [`rules`] is the drawing. Files are read as text, so that what is compiled only under some feature is checked too.

mod guide;
mod rules;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rules::{EXCEPTIONS, FLOORS, FORBIDDEN};
use source::{Token, root_paths, tokens};

/// What `lib.rs` shows at the root under another room's name: `Result` is `error::Result`.
type Facade = BTreeMap<String, String>;

fn facade(lib: &str) -> Facade {
    let rooms = tokens(lib).split(|token| token.text == "use").skip(1).flat_map(paths_of_use).collect::<Vec<_>>();
    let in_a_room = |path: &String| path.split("::").next().and_then(floor).is_some();
    rooms.into_iter().filter(in_a_room).filter_map(|path| Some((path.rsplit("::").next()?.to_owned(), path))).collect()
}

/// What the rest of a `use` names, read as if it began at the root.
fn paths_of_use(rest: &[Token]) -> Vec<String> {
    let root = ["crate", "::"].map(|text| Token { text: text.into(), line: 0 });
    let code: Vec<_> = root.into_iter().chain(rest.iter().take_while(|token| token.text != ";").cloned()).collect();
    root_paths("src/lib.rs", &code).into_iter().map(|(path, _)| path).filter(|path| path.contains("::")).collect()
}

/// What is wrong in a file, as `file:line: what, why`.
fn wrong(file: &str, text: &str, facade: &Facade) -> Vec<String> {
    let code = tokens(text);
    let mut wrong = Vec::new();
    for rule in FORBIDDEN {
        let excepted = rule.except.iter().any(|except| file.starts_with(except));
        if file.starts_with(rule.within) && !excepted {
            let found =
                rule.code.iter().flat_map(|&what| lines_with(&code, what).into_iter().map(move |line| (line, what)));
            wrong.extend(found.map(|(line, what)| format!("{file}:{line}: `{what}`, but {}", rule.why)));
        }
    }
    if let Some(within) = file.strip_prefix("src/") {
        let room = within.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = floor(room) else {
            wrong.push(format!("{file}:1: room `{room}` is on no floor; give it one in tests/floors/rules.rs"));
            return wrong;
        };
        for (path, line) in root_paths(file, &code) {
            wrong.extend(climbs(file, room, own, &path, facade).map(|what| format!("{file}:{line}: {what}")));
        }
    }
    wrong
}

/// Whether a file of that room may not name that path.
fn climbs(file: &str, room: &str, own: usize, path: &str, facade: &Facade) -> Option<String> {
    let path = facade.get(path.split("::").next()?).map_or(path, String::as_str);
    let named = path.split("::").next()?;
    let Some(theirs) = floor(named) else {
        // Macros and constants of the root belong to the facade, which is above all.
        return (own + 1 < FLOORS.len()).then(|| format!("`crate::{path}` is in no room that is on a floor"));
    };
    let excepted = |(from, to, _): &(&str, &str, &str)| file.starts_with(from) && path.starts_with(to);
    let may = named == room || theirs < own || EXCEPTIONS.iter().any(excepted);
    (!may).then(|| format!("`{room}` names `crate::{path}`, but `{named}` is not below it"))
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Lines on which that code stands, whatever blanks are in it.
fn lines_with(code: &[Token], wanted: &str) -> Vec<usize> {
    let wanted: Vec<String> = tokens(wanted).into_iter().map(|token| token.text).collect();
    let fits = |window: &&[Token]| window.iter().map(|token| &token.text).eq(&wanted);
    code.windows(wanted.len()).filter(fits).map(|window| window[0].line).collect()
}

fn rust_files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => rust_files(&path, found),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                let inside = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
                found.push(inside.to_str().unwrap().replace('\\', "/"));
            }
            false => {}
        }
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn every_file_keeps_to_its_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    rust_files(&root.join("tests"), &mut files);
    files.sort();
    let facade = facade(&read("src/lib.rs"));

    let wrong: Vec<_> = files.iter().flat_map(|file| wrong(file, &read(file), &facade)).collect();

    assert!(wrong.is_empty(), "{} places break the rules in tests/floors/rules.rs:\n{}", wrong.len(), wrong.join("\n"));
}

mod the_check_itself {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        wrong(file, text, &facade("pub use error::{Error, Result};\npub use worker::Worker as W;"))
    }

    #[test]
    fn finds_a_room_that_names_one_above() {
        assert_eq!(
            found("src/broker/redis/mod.rs", "use std::fmt;\n\nuse crate::worker::Worker;\n"),
            ["src/broker/redis/mod.rs:3: `broker` names `crate::worker::Worker`, but `worker` is not below it"]
        );
    }

    #[test]
    fn finds_it_wherever_it_stands() {
        for code in [
            "use crate::{event::EventId, worker::{self, Worker}};",
            "fn f() { crate::worker::run(); }",
            "use super::super::worker;",
            "mod tests { use super::super::super::worker; }",
            "pub(crate) use crate::executor;",
            "use crate::Worker;",
        ] {
            assert!(!found("src/broker/redis.rs", code).is_empty(), "{code}");
        }
    }

    #[test]
    fn lets_rooms_name_what_is_below_and_themselves() {
        let code = "use crate::{Result, clock::now, decide::lease::Lease};\nuse super::super::broker::fence;\n\
            // crate::worker\nconst TEXT: &str = \"crate::worker\";\n/* crate::worker */ fn f(_: &'static str) -> char { '\"' }";

        assert_eq!(found("src/broker/redis.rs", code), Vec::<String>::new());
    }

    #[test]
    fn knows_the_exceptions_and_no_more() {
        assert_eq!(found("src/error.rs", "use crate::broker::BrokerError;"), Vec::<String>::new());
        assert_eq!(found("src/error.rs", "use crate::broker::Broker;").len(), 1);
    }

    #[test]
    fn refuses_rooms_that_are_on_no_floor() {
        assert_eq!(
            found("src/attic.rs", ""),
            ["src/attic.rs:1: room `attic` is on no floor; give it one in tests/floors/rules.rs"]
        );
        assert_eq!(found("src/broker.rs", "use crate::attic::Box;").len(), 1);
    }

    #[test]
    fn finds_runtimes_and_stores_where_decisions_are_made() {
        let code = "use tokio::time;\n\nfn f(_: redis::Value) {}\n// tokio, redis\n";

        assert_eq!(
            found("src/decide/lease.rs", code),
            [
                "src/decide/lease.rs:1: `tokio`, but decisions are pure",
                "src/decide/lease.rs:3: `redis`, but decisions are pure",
            ]
        );
    }

    #[test]
    fn finds_clocks_and_tasks_outside_their_rooms() {
        let code = "async fn f() { tokio::spawn(g()); std::time::Instant::now(); tokio::time\n::sleep(x).await; }";

        assert_eq!(found("src/worker/mod.rs", code).len(), 3);
        assert_eq!(found("src/clock.rs", "fn now() { Instant::now(); }"), Vec::<String>::new());
        assert_eq!(found("src/worker/mod.rs", "clock::sleep(x); clock::now();"), Vec::<String>::new());
    }

    #[test]
    fn finds_tests_that_sleep() {
        let code = "fn f() {\n    std::thread::sleep(SECOND);\n}";

        assert_eq!(found("tests/it/orders.rs", code), ["tests/it/orders.rs:2: `sleep(`, but tests wait for facts"]);
        assert_eq!(found("tests/support/mod.rs", code), Vec::<String>::new());
    }
}
