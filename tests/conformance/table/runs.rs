//! Runs: each activation has one begin and one end, whoever races for it.

use runnel::broker::{Begun, OpenRun};
use runnel::event::Fields;

use super::on_every_store;
use crate::case::{Case, FIRST};

/// More than any test appends.
const PLENTY: u64 = 1_000;

fn run(id: &str, entry: &str) -> OpenRun {
    OpenRun { run_id: id.into(), entry: entry.into() }
}

fn event(what: &str) -> Fields {
    Fields::from_pairs([("data", what)])
}

/// What lies in the log.
async fn logged(case: &Case) -> Vec<String> {
    let entries = case.range(&case.stream, FIRST, "0".parse().unwrap(), runnel::event::EventId::MAX, 100, false).await;
    let text = |fields: &Fields| String::from_utf8(fields.get("data").unwrap().to_vec()).unwrap();
    entries.unwrap().iter().map(|entry| text(&entry.fields)).collect()
}

impl Case {
    async fn begin(&self, run: &OpenRun) -> Begun {
        self.begin_run(&self.stream, FIRST, run, &event("run"), PLENTY).await.unwrap()
    }

    async fn end(&self, run: &OpenRun, how: &str) -> bool {
        self.end_run(&self.stream, FIRST, run, &event(how)).await.unwrap()
    }
}

on_every_store! {
    async fn a_run_is_open_from_its_begin_to_its_end(kind: Kind) {
        let case = Case::empty(kind).await;
        let mine = run("run-1", "{\"worker\":\"ann\"}");

        assert!(matches!(case.begin(&mine).await, Begun::Now(_)));
        assert_eq!(case.open_runs(&case.stream).await.unwrap(), [(FIRST, mine.clone())]);
        assert!(case.end(&mine, "success").await);

        assert_eq!(case.open_runs(&case.stream).await.unwrap(), []);
        assert_eq!(logged(&case).await, ["run", "success"]);
    }

    async fn a_begin_sent_again_is_not_a_second_one(kind: Kind) {
        let case = Case::empty(kind).await;
        let mine = run("run-1", "mine");
        case.begin(&mine).await;

        assert_eq!(case.begin(&mine).await, Begun::Before);

        assert_eq!(logged(&case).await, ["run"]);
    }

    async fn a_run_that_is_open_by_another_entry_cannot_begin(kind: Kind) {
        let case = Case::empty(kind).await;
        case.begin(&run("run-1", "hers")).await;

        assert_eq!(case.begin(&run("run-1", "mine")).await, Begun::Taken { entry: "hers".into() });

        assert_eq!(logged(&case).await, ["run"]);
    }

    async fn nothing_begins_in_a_partition_at_its_size_but_what_runs_ends(kind: Kind) {
        let case = Case::empty(kind).await;
        let (first, second) = (run("run-1", "mine"), run("run-2", "mine"));
        case.begin(&first).await;

        let answer = case.begin_run(&case.stream, FIRST, &second, &event("run"), 1).await.unwrap();

        assert_eq!(answer, Begun::Full { length: 1 });
        assert!(!case.end(&second, "success").await);
        assert!(case.end(&first, "success").await);
        assert_eq!(logged(&case).await, ["run", "success"]);
    }

    /// A crash is found, the run is resumed by another worker, and only then comes the first worker's late end.
    async fn each_activation_ends_once_whoever_races(kind: Kind) {
        let case = Case::empty(kind).await;
        let (first, second) = (run("run-1", "worker 1, activation 1"), run("run-1", "worker 2, activation 2"));
        case.begin(&first).await;

        assert!(case.end(&first, "crash").await, "the leader found it");
        assert!(!case.end(&first, "crash").await, "so did a second one");
        assert!(matches!(case.begin(&second).await, Begun::Now(_)), "it is resumed");
        assert!(!case.end(&first, "late success").await, "a zombie");
        assert!(case.end(&second, "success").await);
        assert!(!case.end(&second, "success").await, "sent again");

        assert_eq!(logged(&case).await, ["run", "crash", "run", "success"]);
    }

    async fn open_runs_are_told_by_partition_and_id(kind: Kind) {
        let case = Case::empty(kind).await;
        let last = runnel::event::Partition(2);
        for (partition, id) in [(last, "c"), (FIRST, "b"), (FIRST, "a")] {
            case.begin_run(&case.stream, partition, &run(id, "x"), &event("run"), PLENTY).await.unwrap();
        }

        let open = case.open_runs(&case.stream).await.unwrap();

        assert_eq!(open, [(FIRST, run("a", "x")), (FIRST, run("b", "x")), (last, run("c", "x"))]);
    }
}
