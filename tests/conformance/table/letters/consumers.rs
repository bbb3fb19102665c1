//! Dead letters as a stream of its own: owned, read, settled and trimmed; and an operator who gives events up.

use super::super::on_every_store;
use super::*;

on_every_store! {
    async fn letters_have_the_facts_of_their_stream_and_are_not_listed(kind: Kind) {
        let case = Case::empty(kind).await;
        assert_eq!(runnel::broker::Broker::stream(&*case, "orders.dead").await.unwrap(), None);

        let declared = case.declare(&facts("orders")).await.unwrap();

        assert_eq!(runnel::broker::Broker::stream(&*case, "orders.dead").await.unwrap(), Some(declared.dead_letters()));
        assert_eq!(case.streams().await.unwrap(), ["orders"]);
        assert_eq!(code(case.declare(&declared.dead_letters()).await), "DEADLETTERS");
        assert_eq!(case.streams().await.unwrap(), ["orders"]);
    }

    async fn letters_are_not_given_up_again(kind: Kind) {
        let (mut case, stored) = dead(kind, 1..=2).await;
        case.turn_to_letters();
        let (fence, _) = case.own("a").await;
        let before = all_of(&case).await;

        let commit = case.commit(&[with(case.commit_of(&fence, 1, 1), [plain(1)])]).await.remove(0);
        assert_eq!(code(commit), "DEADLETTERS");
        let by_hand = Intervention::DeadLetter { id: stored[0], about: about("x"), limit: ROOM };
        assert_eq!(code(case.intervene(&case.place(), &by_hand).await), "DEADLETTERS");
        assert_eq!(code(case.retry_letters(&case.stream, FIRST, &stored).await), "DEADLETTERS");
        assert_eq!(code(case.drop_letters(&case.stream, FIRST, &stored).await), "DEADLETTERS");

        assert_eq!(all_of(&case).await, before);
    }

    async fn letters_are_consumed_like_any_stream(kind: Kind) {
        let (mut case, stored) = dead(kind, 1..=3).await;
        let events = case.group.clone();
        case.turn_to_letters();

        let (fence, owned) = case.own("a").await;
        assert_eq!((owned.position, owned.last, &*owned.notes), (EventId::ZERO, stored[2], &[Note::Begun][..]));
        let source = Source::Partition(Arc::clone(&case.stream), FIRST);
        assert_eq!(ids_of(&case.read(&source, owned.position, 10, false).await.unwrap()), stored);
        let mut commit = case.commit_of(&fence, 1, 0);
        (commit.position, commit.seen, commit.entries_read) = (stored[1], stored[1], Some(2));
        assert_eq!(case.send(commit).await, Committed::Applied);
        assert_eq!(case.look_at("billing").await.lag, Some(1));
        assert!(matches!(case.prolong(&fence, 1).await, Renewed::Ours { lag: Some(1), .. }));
        assert!(matches!(case.take("b").await, Acquired::Held { .. }));
        assert!(case.give_up(&fence).await);

        // The processor of that name of the stream itself is another one.
        assert_eq!(case.survey(&events.stream).await.unwrap()[0].groups[0].position, Some(id(3)));
        assert_eq!(case.forget(&case.group).await.unwrap(), Forgotten::Gone { partitions: 1 });
        assert_eq!(case.survey(&events.stream).await.unwrap()[0].groups.len(), 1);
    }

    async fn deleted_letters_are_no_gap_for_their_owner(kind: Kind) {
        // Which of five letters are dropped, how many of the others are settled afterwards, and the lag then: Redis does
        // not know it where something after the position was deleted and something before it is left.
        let cases =
            [(&[1, 2][..], 3, Some(0)), (&[0], 4, Some(0)), (&[0, 1, 2, 3, 4], 0, Some(0)), (&[3, 4], 3, None), (&[3, 4], 2, None)];
        for (dropped, settled, lag) in cases {
            let (mut case, stored) = dead(kind, 1..=5).await;
            case.turn_to_letters();
            let (fence, _) = case.own("a").await;

            assert_eq!(discard(&case, &dropped.iter().map(|at| stored[*at]).collect::<Vec<_>>()).await, dropped.len() as u64);
            let left = case.events().await;
            let mut commit = case.commit_of(&fence, 1, 0);
            commit.position = left[..settled].last().copied().unwrap_or(EventId::ZERO);
            commit.entries_read = Some(settled as u64);
            commit.seen = commit.position;
            assert_eq!(case.send(commit).await, Committed::Applied);

            for _ in 0..2 {
                let renewed = case.prolong(&fence, 1).await;
                assert!(matches!(&renewed, Renewed::Ours { notes, .. } if notes.is_empty()), "{dropped:?}: {renewed:?}");
            }
            if case.plain_lag() {
                assert_eq!(case.look_at("billing").await.lag, lag, "{dropped:?}");
            }
            let (_, owned) = case.take_over("b").await;
            assert_eq!(&*owned.notes, NOTHING, "{dropped:?}");
            assert!(owned.position <= owned.last);
        }
    }

    async fn letters_that_are_dropped_before_anybody_owns_them_are_no_gap(kind: Kind) {
        let (mut case, stored) = dead(kind, 1..=5).await;
        case.turn_to_letters();
        let (fence, _) = case.own("a").await;
        let mut commit = case.commit_of(&fence, 1, 0);
        (commit.position, commit.entries_read) = (stored[0], Some(1));
        case.send(commit).await;
        case.give_up(&fence).await;

        discard(&case, &stored[..4]).await;
        let (fence, owned) = case.own("b").await;
        assert_eq!((owned.position, &*owned.notes), (stored[0], NOTHING));
        case.give_up(&fence).await;

        discard(&case, &stored).await;
        let (_, owned) = case.own("c").await;
        assert_eq!((owned.position, owned.last, &*owned.notes), (stored[0], stored[4], NOTHING));
    }

    async fn letters_that_foreign_consumers_had_taken_are_no_gap_when_dropped(kind: Kind) {
        let (mut case, stored) = dead(kind, 1..=3).await;
        case.turn_to_letters();
        case.hands().create_group(&case.place(), EventId::ZERO);
        case.hands().read_in_group(&case.place(), "x", 3);
        discard(&case, &stored[1..2]).await;

        let (_, owned) = case.own("a").await;

        assert_eq!(&*owned.notes, &[Note::Migrated { pending: 3, done: 0 }]);
    }

    async fn only_settled_letters_are_trimmed(kind: Kind) {
        let (mut case, stored) = dead(kind, 1..=3).await;
        case.turn_to_letters();
        assert!(matches!(case.trim(&case.stream, FIRST).await.unwrap(), Trimmed::Held { .. }), "nobody reads them");
        let (fence, _) = case.own("a").await;
        let mut commit = case.commit_of(&fence, 1, 0);
        (commit.position, commit.entries_read) = (stored[1], Some(2));
        case.send(commit).await;

        assert_eq!(case.trim(&case.stream, FIRST).await.unwrap(), Trimmed::Cut { entries: 1, before: stored[1] });

        assert_eq!(case.events().await, stored[1..]);
        let events = case.range(&facts("orders").into(), FIRST, EventId::ZERO, EventId::MAX, 9, false).await.unwrap();
        assert_eq!(events.len(), 3, "the events themselves are not touched");
    }

    async fn an_operator_gives_up_the_event_that_stopped_the_place(kind: Kind) {
        let case = Case::empty(kind).await;
        for event in 1..=5 {
            let fields = if event == 3 { awkward() } else { Fields::from_pairs([("data", "1")]) };
            case.append(&case.stream, vec![NewEntry { partition: FIRST, id: Some(id(event)), fields }]).await.unwrap();
        }
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 2).await;
        case.give_up(&fence).await;
        case.stop_at(StopKind::Quarantined, 3).await;

        assert_eq!(case.intervene(&case.place(), &give_up(3, ROOM)).await.unwrap(), id(3));

        let stored = letters(&case).await;
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].fields, around((ABOUT, "by hand"), &awkward(), None));
        let (_, owned) = case.own("b").await;
        assert_eq!((owned.position, owned.entries_read, &*owned.notes), (id(3), Some(3), NOTHING));
        assert_eq!(case.fence().await.stop, None);
    }

    async fn an_operator_gives_up_the_next_event_of_an_owner(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 2).await;

        assert_eq!(case.intervene(&case.place(), &give_up(3, 1)).await.unwrap(), id(3));

        assert!(matches!(case.send(case.commit_of(&fence, 2, 5)).await, Committed::Fenced { .. }));
        assert_eq!((letters(&case).await.len(), case.fence().await.position), (1, id(3)));
    }

    async fn an_operator_who_means_another_event_changes_nothing(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        assert_eq!(code(case.intervene(&case.place(), &give_up(1, ROOM)).await), "NOEVENT");
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 2).await;
        let before = all_of(&case).await;

        assert_eq!(code(case.intervene(&case.place(), &give_up(2, ROOM)).await), "CHANGED");
        assert_eq!(code(case.intervene(&case.place(), &give_up(4, ROOM)).await), "CHANGED");
        assert_eq!(code(case.intervene(&case.place(), &give_up(3, 0)).await), "LETTERSFULL");

        assert_eq!(all_of(&case).await, before);
        assert_eq!(case.send(case.commit_of(&fence, 2, 5)).await, Committed::Applied, "its owner was not fenced out");
        assert_eq!(code(case.intervene(&case.place(), &give_up(6, ROOM)).await), "NOEVENT");
    }

    async fn an_event_that_is_gone_cannot_be_given_up(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 2).await;
        case.give_up(&fence).await;
        case.stop_at(StopKind::Quarantined, 3).await;
        case.hands().delete_entry(&case.stream, FIRST, id(3));
        let before = all_of(&case).await;

        assert_eq!(code(case.intervene(&case.place(), &give_up(3, ROOM)).await), "NOEVENT");

        assert_eq!(all_of(&case).await, before);
    }

    async fn a_retried_event_that_is_given_up_by_hand_is_stored_as_it_was_sent(kind: Kind) {
        let (case, stored) = dead(kind, 1..=2).await;
        let [Retried::Back(back)] = retry(&case, &stored[..1]).await[..] else { panic!("it is there") };

        let by_hand = Intervention::DeadLetter { id: back, about: about("by hand"), limit: ROOM };
        assert_eq!(case.intervene(&case.place(), &by_hand).await.unwrap(), back);

        let event = Fields::from_pairs([("data", "1")]);
        assert_eq!(letters(&case).await[1].fields, around((ABOUT, "by hand"), &event, None));
    }
}
