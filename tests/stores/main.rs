//! Every store of runs gives the same answers: the suite asks each of them the same questions.
//!
//! A backend is a module with a function that opens an empty store, and one line for each part of the suite. Faults are
//! real ones: child processes of this binary, killed while they write.

#![allow(clippy::unwrap_used, reason = "in a test binary everything is a test")]

mod child;
mod configured;
mod documents;
mod files;
mod lines;
#[cfg(feature = "object-store")]
mod object;
mod parallel;
#[cfg(feature = "postgres")]
mod postgres;
mod processes;
mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[path = "../support/mod.rs"]
mod support;
mod wrapped;

use std::sync::Arc;

use runnel::runs::MemoryStore;

/// Questions about documents, each to an empty store.
macro_rules! all_of_documents {
    ($open:expr) => {
        crate::suite! { $open, documents:
            a_run_is_created_once
            what_is_put_is_what_is_got
            a_header_put_back_takes_nothing_away
            what_is_not_there_is_named
            parameters_and_configuration_are_set_without_secrets
            steps_branches_jobs_and_attempts_are_kept
            lists_are_filtered_and_paged
            a_deleted_run_is_gone_and_can_be_created_again
            only_ended_runs_are_purged
            events_are_applied_once_whatever_is_delivered_again
        }
    };
}

/// Questions about lines of the task log, each to an empty repository.
macro_rules! all_of_lines {
    ($open:expr) => {
        crate::suite! { $open, lines:
            lines_come_in_the_order_in_which_they_were_added
            a_line_that_comes_again_is_added_once
            each_condition_is_answered_as_its_definition_says
            first_last_limit_and_stream_agree_with_all
            deleting_takes_what_was_asked_for_and_nothing_else
            a_task_knows_how_it_stands
            overlapping_runs_are_told_apart
        }
    };
}

/// Questions to databases, each to an empty one.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! all_of_sql {
    ($open:expr) => {
        crate::suite! { $open, sql:
            names_that_columns_refuse_are_kept_and_found
            what_columns_cannot_answer_is_answered_all_the_same
            documents_are_ordered_by_the_bytes_of_their_ids
            times_between_microseconds_are_told_apart
            a_change_that_fails_or_takes_away_is_kept_as_it_is_said
            runs_that_have_not_ended_are_found_among_many_lines
        }
    };
}

macro_rules! suite {
    ($open:expr, $part:ident: $($test:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let (store, _kept) = $open;
            crate::$part::$test(store).await;
        }
    )* };
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use all_of_sql;
pub(crate) use {all_of_documents, all_of_lines, suite};

mod memory {
    use super::*;

    all_of_documents!((Arc::new(MemoryStore::new().retention(documents::KEPT)), ()));
    all_of_lines!((Arc::new(MemoryStore::new()), ()));
    suite! { (Arc::new(MemoryStore::new()), ()), parallel: writers_of_one_run_lose_nothing readers_see_whole_documents }
}
