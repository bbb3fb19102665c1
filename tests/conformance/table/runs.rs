//! Runs: each activation has one begin and one end, whoever races for it.

use runnel::broker::{Begun, OpenRun};
use runnel::event::Fields;

use super::on_every_store;
use crate::case::{Case, FIRST, TTL_MS};

/// More than any test appends.
const PLENTY: u64 = 10_000;

fn run(id: &str, entry: &str) -> OpenRun {
    OpenRun { run_id: id.into(), entry: entry.into() }
}

/// The entry of a worker that begins an activation.
fn entry(worker: &str, activation: u32) -> String {
    format!("{{\"worker\":\"{worker}\",\"activation\":{activation}}}")
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

    // --- late and twice --------------------------------------------------------------------------------------------

    async fn a_begin_that_arrives_after_the_end_begins_nothing(kind: Kind) {
        let case = Case::empty(kind).await;
        let mine = run("run-1", &entry("ann", 1));
        case.begin(&mine).await;
        case.end(&mine, "success").await;

        assert_eq!(case.begin(&mine).await, Begun::Over);

        assert_eq!(case.open_runs(&case.stream).await.unwrap(), []);
        assert!(!case.end(&mine, "crash").await, "there is nothing to find");
        assert_eq!(case.begin(&mine).await, Begun::Over, "nor now");
        assert_eq!(logged(&case).await, ["run", "success"]);
    }

    /// A crash is found, the run is resumed, and what its first worker had sent arrives at last, in any order.
    async fn a_begin_that_arrives_after_a_crash_begins_nothing(kind: Kind) {
        let case = Case::empty(kind).await;
        let (first, second) = (run("run-1", &entry("ann", 1)), run("run-1", &entry("bob", 2)));
        case.begin(&first).await;
        assert!(case.end(&first, "crash").await, "the leader found it");

        assert_eq!(case.begin(&first).await, Begun::Over);
        assert!(!case.end(&first, "late success").await);
        assert!(matches!(case.begin(&second).await, Begun::Now(_)), "it is resumed");
        assert_eq!(case.begin(&first).await, Begun::Taken { entry: second.entry.to_string() });
        assert!(case.end(&second, "success").await);
        assert_eq!(case.begin(&first).await, Begun::Over);
        assert_eq!(case.begin(&second).await, Begun::Over);

        assert_eq!(logged(&case).await, ["run", "crash", "run", "success"]);
    }

    /// Two workers resume a run, and the slower one asks when the other is done.
    async fn an_activation_that_ended_is_begun_by_nobody_else(kind: Kind) {
        let case = Case::empty(kind).await;
        let [anns, bobs, next] = [("ann", 2), ("bob", 2), ("bob", 3)].map(|(who, n)| run("run-1", &entry(who, n)));
        case.begin(&anns).await;
        case.end(&anns, "fail").await;

        assert_eq!(case.begin(&bobs).await, Begun::Over);
        assert!(matches!(case.begin(&next).await, Begun::Now(_)), "the next one is anybody's");

        assert_eq!(logged(&case).await, ["run", "fail", "run"]);
    }

    /// Nobody answered the begin, so the worker took it back.
    async fn a_begin_that_was_taken_back_before_it_arrived_begins_nothing(kind: Kind) {
        let case = Case::empty(kind).await;
        let [given_up, other] = ["ann", "bob"].map(|who| run("run-1", &entry(who, 1)));

        assert!(!case.end(&given_up, "terminate").await);

        assert_eq!(case.begin(&given_up).await, Begun::Over);
        assert!(matches!(case.begin(&other).await, Begun::Now(_)), "the activation has not been begun by anybody");
        assert_eq!(logged(&case).await, ["run"]);
    }

    async fn what_is_over_is_so_whatever_its_entry_says(kind: Kind) {
        let case = Case::empty(kind).await;
        for entry in ["", "mine", "{}", "{\"activation\":\"one\"}", "{\"activation\":-1}", "[1]"] {
            let (mine, other) = (run(&format!("run-{entry}"), entry), run(&format!("run-{entry}"), "another"));
            case.begin(&mine).await;
            case.end(&mine, "success").await;

            assert_eq!(case.begin(&mine).await, Begun::Over, "{entry}");
            assert!(matches!(case.begin(&other).await, Begun::Now(_)), "{entry}");
        }
    }

    async fn what_is_over_is_so_in_its_own_partition_and_run(kind: Kind) {
        let case = Case::empty(kind).await;
        let mine = run("run-1", &entry("ann", 1));
        case.begin(&mine).await;
        case.end(&mine, "success").await;

        assert!(matches!(case.begin(&run("run", &entry("ann", 1))).await, Begun::Now(_)));
        assert!(matches!(case.begin(&run("run-11", &entry("ann", 1))).await, Begun::Now(_)));
    }

    async fn what_just_ended_is_remembered_although_the_clock_jumps(kind: Kind) {
        let case = Case::empty(kind).await;
        let run_of = |n: u32| run(&format!("run-{n}"), &entry("ann", 1));
        for n in 0..3 {
            case.begin(&run_of(n)).await;
            case.end(&run_of(n), "success").await;
            case.hands().turn_clock_back([-TTL_MS, 2 * TTL_MS, -TTL_MS][n as usize]);
        }

        for n in 0..3 {
            assert_eq!(case.begin(&run_of(n)).await, Begun::Over, "{n}");
        }
    }

    /// Else a store would fill up with what nobody asks for.
    async fn what_ended_long_ago_is_forgotten_but_for_the_newest_thousand(kind: Kind) {
        let case = Case::empty(kind).await;
        let run_of = |n: u32| run(&format!("run-{n:04}"), &entry("ann", 1));
        let over = async |n| {
            case.begin(&run_of(n)).await;
            case.end(&run_of(n), "success").await;
        };
        for n in 0..1_010 {
            over(n).await;
        }
        assert_eq!(case.begin(&run_of(0)).await, Begun::Over, "it has just ended");

        case.hands().turn_clock_back(-11 * 60 * 1_000);
        over(1_010).await;
        over(1_011).await;

        let begun = async |n| matches!(case.begin(&run_of(n)).await, Begun::Now(_));
        assert!(begun(0).await && begun(11).await);
        assert_eq!(case.begin(&run_of(12)).await, Begun::Over);
        assert_eq!(case.begin(&run_of(1_011)).await, Begun::Over);
    }
}
