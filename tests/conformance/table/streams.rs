//! Streams: facts, appending, reading, cutting, and what people are told of them.

use std::sync::Arc;
use std::task::{Context, Waker};

use runnel::broker::{NewEntry, Source, StreamFacts, Trimmed};
use runnel::event::{EventId, Fields, Partition};

use super::on_every_store;
use crate::case::{Case, FIRST, code, entry, facts, id, ids, ids_of};

on_every_store! {
    async fn the_first_declaration_of_a_stream_holds(kind: Kind) {
        let case = Case::empty(kind).await;

        let first = case.declare(&facts("orders")).await.unwrap();
        let second = case.declare(&StreamFacts { partitions: 7, codec: "msgpack".into(), ..facts("orders") }).await.unwrap();

        assert!(first.created > 0, "by the server's clock");
        assert_eq!(StreamFacts { created: 0, ..first.clone() }, facts("orders"));
        assert_eq!(second, first);
        assert_eq!(case.stream("orders").await.unwrap(), Some(first));
        assert_eq!(case.stream("payments").await.unwrap(), None);
    }

    async fn streams_are_listed_in_order_once_they_are_declared(kind: Kind) {
        let case = Case::with(kind, 1..=1).await;
        assert_eq!(case.streams().await.unwrap(), [""; 0]);

        for name in ["b", "c", "a", "b"] {
            case.declare(&facts(name)).await.unwrap();
        }

        assert_eq!(case.streams().await.unwrap(), ["a", "b", "c"]);
    }

    async fn an_id_that_does_not_rise_is_refused_alone(kind: Kind) {
        let case = Case::with(kind, 5..=5).await;
        let wanted = [Some(id(7)), Some(id(7)), Some(id(5)), Some(EventId::ZERO), Some(EventId::new(7, 1)), Some(id(9))];
        let mut entries: Vec<_> = wanted.into_iter().map(|id| entry(FIRST, id)).collect();
        entries.push(NewEntry { fields: Fields::default(), ..entry(FIRST, None) });
        entries.push(entry(Partition(2), Some(id(1))));

        let appended = case.append(&case.stream, entries).await.unwrap();

        let mut lengths = appended.lengths;
        lengths.sort_unstable();
        assert_eq!(lengths, [(FIRST, 4), (Partition(2), 1)]);
        let answers: Vec<_> = appended.ids.into_iter().map(|answer| answer.map_err(|error| code::<()>(Err(error)))).collect();
        let refused = || Err("ERR".to_owned());
        let kept = |id| Ok(id);
        assert_eq!(answers, [
            kept(id(7)), refused(), refused(), refused(), kept(EventId::new(7, 1)), kept(id(9)), refused(), kept(id(1)),
        ]);
    }

    async fn a_refused_first_entry_makes_no_stream(kind: Kind) {
        let case = Case::empty(kind).await;

        case.append(&case.stream, vec![entry(FIRST, Some(EventId::ZERO))]).await.unwrap();

        let (_, owned) = case.own("a").await;
        assert_eq!((owned.position, owned.entries_read), (EventId::ZERO, Some(0)));
    }

    async fn ids_of_their_own_rise(kind: Kind) {
        let case = Case::empty(kind).await;
        let mut entries = vec![entry(FIRST, None), entry(FIRST, None), entry(FIRST, None)];
        entries.insert(2, entry(FIRST, Some(EventId::new(u64::MAX - 1, 5))));

        let ids: Vec<_> = case.append(&case.stream, entries).await.unwrap().ids.into_iter().map(Result::unwrap).collect();

        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        assert_eq!(ids[3], EventId::new(u64::MAX - 1, 6), "after an id from the future, the next sequence number");
    }

    async fn after_the_greatest_id_nothing_is_appended(kind: Kind) {
        let case = Case::empty(kind).await;

        let mut answers = case.append(&case.stream, vec![entry(FIRST, Some(EventId::MAX)), entry(FIRST, None)]).await.unwrap().ids;

        assert_eq!(code(answers.pop().unwrap()), "ERR");
        assert_eq!(answers.pop().unwrap().unwrap(), EventId::MAX);
    }

    async fn fields_come_back_as_they_were_sent(kind: Kind) {
        let case = Case::empty(kind).await;
        let sent = Fields::from_pairs([(&b"a"[..], &b"\xff\0\r\n"[..]), (b"a", b""), (b"", b"2"), (b"\xfe", b"3")]);
        let entry = NewEntry { fields: sent.clone(), ..entry(FIRST, Some(id(1))) };
        case.append(&case.stream, vec![entry]).await.unwrap();

        let source = Source::Partition(Arc::clone(&case.stream), FIRST);
        let read = case.read(&source, EventId::ZERO, 10, false).await.unwrap();
        let found = case.range(&case.stream, FIRST, id(1), id(1), 1, false).await.unwrap();

        assert_eq!(read[0].fields, sent);
        assert_eq!(found[0].fields, sent);
    }

    async fn reading_begins_after_an_id_and_ends_at_a_count(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let source = Source::Partition(Arc::clone(&case.stream), FIRST);

        for flowing in [false, true] {
            assert_eq!(ids_of(&case.read(&source, id(3), 4, flowing).await.unwrap()), ids(4..=7));
            assert_eq!(ids_of(&case.read(&source, EventId::ZERO, 100, flowing).await.unwrap()), ids(1..=9));
        }
    }

    async fn reading_beyond_the_end_waits(kind: Kind) {
        let case = Case::with(kind, 1..=3).await;
        let source = Source::Partition(Arc::clone(&case.stream), FIRST);
        let mut reading = case.read(&source, id(5), 10, false);
        for _ in 0..10 {
            assert!(reading.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            tokio::task::yield_now().await;
        }

        case.add(4..=6).await;

        let read = tokio::time::timeout(crate::support::PATIENCE, reading).await.expect("what arrives wakes who waits");
        assert_eq!(ids_of(&read.unwrap()), ids([6]));
    }

    async fn a_range_includes_both_ends(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let range = async |from, to, count, backwards| {
            ids_of(&case.range(&case.stream, FIRST, id(from), id(to), count, backwards).await.unwrap())
        };

        assert_eq!(range(2, 5, 10, false).await, ids(2..=5));
        assert_eq!(range(2, 5, 2, false).await, ids(2..=3));
        assert_eq!(range(2, 5, 3, true).await, ids([5, 4, 3]));
        assert_eq!(range(5, 2, 10, false).await, []);
        assert_eq!(range(2, 5, 0, false).await, []);
        assert_eq!(range(20, 30, 10, true).await, []);
        assert_eq!(case.range(&case.stream, Partition(1), id(0), id(9), 9, false).await.unwrap(), []);
    }

    async fn the_oldest_are_dropped_processed_or_not(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;

        assert_eq!(case.drop_oldest(&case.stream, FIRST, 20).await.unwrap(), 0);
        assert_eq!(case.drop_oldest(&case.stream, FIRST, 4).await.unwrap(), 5);
        assert_eq!(case.events().await, ids(6..=9));
        assert_eq!(case.drop_oldest(&case.stream, FIRST, 0).await.unwrap(), 4);
        assert_eq!(case.drop_oldest(&case.stream, Partition(1), 0).await.unwrap(), 0);
        assert_eq!((case.look().await.added, case.look().await.last), (9, id(9)));
    }

    async fn nothing_is_cut_while_nobody_has_a_position(kind: Kind) {
        let case = Case::with(kind, 1..=3).await;

        assert!(matches!(case.trim(&case.stream, FIRST).await.unwrap(), Trimmed::Held { .. }));
        assert!(matches!(case.trim(&case.stream, Partition(1)).await.unwrap(), Trimmed::Held { .. }));
        assert_eq!(case.events().await, ids(1..=3));
    }

    async fn only_what_every_group_has_settled_is_cut(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 6).await;
        let foreign = case.place_of("reports");
        case.hands().create_group(&foreign, id(4));

        assert_eq!(case.trim(&case.stream, FIRST).await.unwrap(), Trimmed::Cut { entries: 3, before: id(4) });
        assert_eq!(case.events().await, ids(4..=9));

        case.hands().read_in_group(&foreign, "someone", 5);
        assert_eq!(case.trim(&case.stream, FIRST).await.unwrap(), Trimmed::Cut { entries: 1, before: id(5) });
        assert_eq!(case.events().await, ids(5..=9));
    }

    async fn nothing_is_cut_while_a_registered_group_is_missing(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 6).await;
        case.hands().create_group(&case.place_of("reports"), id(9));
        case.hands().delete_group(&case.place());

        let trimmed = case.trim(&case.stream, FIRST).await.unwrap();

        assert!(matches!(&trimmed, Trimmed::Held { reason } if reason.contains("billing")), "{trimmed:?}");
        assert_eq!(case.events().await.len(), 9);
    }

    async fn nothing_is_cut_while_somebody_foreign_reads_in_a_registered_group(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 6).await;
        case.hands().read_in_group(&case.place(), "someone", 2);

        let trimmed = case.trim(&case.stream, FIRST).await.unwrap();

        assert!(matches!(&trimmed, Trimmed::Held { reason } if reason.contains("billing")), "{trimmed:?}");
        assert_eq!(case.events().await.len(), 9);
    }

    async fn a_group_that_was_moved_ahead_is_not_believed_when_cutting(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 3).await;
        case.hands().move_group(&case.place(), id(8));

        assert_eq!(case.trim(&case.stream, FIRST).await.unwrap(), Trimmed::Cut { entries: 2, before: id(3) });
        assert_eq!(case.events().await, ids(3..=9));
    }

    async fn a_survey_tells_of_every_partition_and_group(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, owned) = case.own("a").await;
        case.settle(&fence, 1, 6).await;
        let foreign = case.place_of("archive");
        case.hands().create_group(&foreign, EventId::ZERO);
        case.hands().read_in_group(&foreign, "someone", 2);

        let all = case.survey(&case.stream).await.unwrap();

        assert_eq!(all.iter().map(|found| found.partition.0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((all[0].length, all[0].added, all[0].first, all[0].last), (9, 9, Some(id(1)), id(9)));
        assert_eq!((all[1].length, all[1].first, all[1].last, all[1].groups.len()), (0, None, EventId::ZERO, 0));
        let [theirs, ours] = &all[0].groups[..] else { panic!("{:?}", all[0].groups) };
        assert_eq!((&*theirs.name, theirs.registered, theirs.position), ("archive", false, Some(id(2))));
        assert_eq!((theirs.lag, theirs.pending, theirs.consumers, &theirs.fence), (Some(7), 2, 1, &None));
        assert_eq!((&*ours.name, ours.registered, ours.position), ("billing", true, Some(id(6))));
        assert_eq!((ours.lag, ours.pending, ours.consumers), (Some(3), 0, 0));
        let fence = ours.fence.as_ref().unwrap();
        assert_eq!((fence.worker.as_deref(), fence.epoch, fence.position), (Some("worker-a"), owned.epoch, id(6)));
        assert_eq!((fence.seen, fence.front, &fence.stop, fence.done), (id(6), None, &None, 0));
        assert!(fence.until > 0);
    }

    async fn a_survey_lists_registered_groups_that_are_missing(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        case.own("a").await;
        case.hands().delete_group(&case.place());

        let found = case.look_at("billing").await;

        assert_eq!((found.registered, found.position, found.lag), (true, None, None));
        assert!(found.fence.is_some());
    }

    async fn lag_is_unknown_where_the_entries_read_are(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;

        let mut commit = case.commit_of(&fence, 1, 4);
        commit.entries_read = None;
        case.send(commit).await;

        assert_eq!(case.look_at("billing").await.lag, None);
    }

    async fn lag_behind_a_deletion_is_unknown(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 4).await;

        case.hands().delete_entry(&case.stream, FIRST, id(7));

        if case.plain_lag() {
            assert_eq!(case.look_at("billing").await.lag, None);
        }
        assert_eq!(case.look().await.length, 8);
    }

    async fn nothing_is_left_of_an_erased_app(kind: Kind) {
        let case = Case::with(kind, 1..=3).await;
        case.declare(&facts("orders")).await.unwrap();
        case.own("a").await;
        case.beat(&case.group, "ann", crate::case::TTL, None).await.unwrap();

        assert!(case.erase().await.unwrap() > 0);

        assert_eq!(case.streams().await.unwrap(), [""; 0]);
        assert_eq!((case.look().await.added, case.look().await.groups.len()), (0, 0));
        assert_eq!(case.erase().await.unwrap(), 0);
    }
}
