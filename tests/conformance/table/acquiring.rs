//! Taking a place that nobody has tampered with: starts, leases, take-overs, marks and tries.

use runnel::broker::{Acquire, Acquired, Front, FrontMark, Note, Renewed, Start, Stop, StopKind};
use runnel::event::EventId;

use super::on_every_store;
use crate::case::{Case, LATER, NOTHING, id, ids};

on_every_store! {
    async fn a_new_processor_begins_where_it_is_told(kind: Kind) {
        for (start, position, entries_read) in [
            (Start::Beginning, EventId::ZERO, Some(0)),
            (Start::End, id(5), Some(5)),
            (Start::After(id(2)), id(2), None),
        ] {
            let case = Case::with(kind, 1..=5).await;

            let Acquired::Owned(owned) = case.wished(&Acquire { start, ..case.wish("a") }).await else { panic!("{start:?}") };

            assert_eq!((owned.position, owned.entries_read, owned.last), (position, entries_read, id(5)), "{start:?}");
            assert_eq!((owned.n, owned.unclean, owned.seen, owned.front), (0, false, EventId::ZERO, None));
            assert_eq!((&*owned.done, &*owned.notes), (&[][..], &[Note::Begun][..]));
            let found = case.look_at("billing").await;
            assert_eq!((found.registered, found.position), (true, Some(position)));
        }
    }

    async fn a_start_beyond_the_end_is_the_end_and_no_lost_tail(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;

        let wish = Acquire { start: Start::After(id(99)), ..case.wish("a") };
        let Acquired::Owned(owned) = case.wished(&wish).await else { panic!("it was free") };

        assert_eq!((owned.position, owned.entries_read), (id(5), Some(5)));
        assert_eq!(owned.notes, [Note::Begun]);
    }

    async fn in_an_absent_stream_nothing_was_read(kind: Kind) {
        for start in [Start::Beginning, Start::End, Start::After(id(3))] {
            let case = Case::empty(kind).await;

            let Acquired::Owned(owned) = case.wished(&Acquire { start, ..case.wish("a") }).await else { panic!("{start:?}") };

            assert_eq!((owned.position, owned.last, owned.entries_read), (EventId::ZERO, EventId::ZERO, Some(0)));
            case.add(1..=3).await;
            assert_eq!(case.look_at("billing").await.lag, Some(3));
        }
    }

    async fn beginning_in_a_trimmed_stream_is_no_gap(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        case.drop_oldest(&case.stream, crate::case::FIRST, 4).await.unwrap();

        let (_, owned) = case.own("a").await;

        assert_eq!((owned.entries_read, &*owned.notes), (Some(5), &[Note::Begun][..]));
        assert_eq!(case.look_at("billing").await.lag, Some(4));
    }

    async fn a_running_lease_is_respected(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let (fence, _) = case.own("a").await;

        let held = case.take("b").await;

        assert!(matches!(&held, Acquired::Held { by, wait } if by == "worker-a" && *wait <= crate::case::TTL), "{held:?}");
        assert_eq!(case.fence().await.epoch, fence.epoch);
    }

    async fn a_released_place_is_taken_cleanly_where_it_was_left(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let (first, _) = case.own("a").await;
        case.settle(&first, 1, 3).await;
        assert!(case.give_up(&first).await);

        let (second, owned) = case.own("b").await;

        assert!(second.epoch > first.epoch);
        assert_eq!((owned.position, owned.n, owned.entries_read, owned.seen), (id(3), 0, Some(3), id(3)));
        assert_eq!((owned.unclean, &*owned.notes), (false, NOTHING));
        assert_eq!(case.fence().await.worker.as_deref(), Some("worker-b"));
    }

    async fn taking_over_from_a_lapsed_owner_is_unclean(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let (first, _) = case.own("a").await;
        let mut commit = case.commit_of(&first, 1, 3);
        commit.seen = id(4);
        case.send(commit).await;

        let (second, owned) = case.take_over("b").await;

        assert!(second.epoch > first.epoch);
        assert_eq!((owned.unclean, owned.position, owned.seen), (true, id(3), id(4)));
    }

    async fn the_same_nonce_again_gets_the_same_answer(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        case.own("a").await;
        let (first, _) = case.take_over("b").await;
        case.settle(&first, 1, 2).await;
        case.settle(&first, 2, 3).await;

        for lapsed in [false, true] {
            if lapsed {
                case.hands().lapse(&case.place());
            }
            let (again, owned) = case.own("b").await;

            assert_eq!(again, first);
            assert_eq!((owned.n, owned.position, owned.unclean, &*owned.notes), (2, id(3), true, NOTHING));
        }
    }

    async fn the_same_nonce_again_moves_nothing_that_others_have_disturbed(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 3).await;
        case.hands().read_in_group(&case.place(), "someone", 2);
        case.settle(&fence, 2, 6).await;

        let (_, late) = case.own("a").await;

        assert_eq!((late.position, late.n, &*late.notes), (id(6), 2, NOTHING), "its owner goes on from there");
        assert_eq!(case.look_at("billing").await.position, Some(id(6)));
        let renewed = case.prolong(&fence, 6).await;
        assert!(matches!(&renewed, Renewed::Ours { notes, .. } if **notes == [Note::ForeignConsumers]), "{renewed:?}");
    }

    async fn a_released_nonce_is_spent(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let (fence, _) = case.own("a").await;
        case.give_up(&fence).await;

        assert_eq!(case.take("a").await, Acquired::Spent);
        case.own("b").await;
        assert_eq!(case.take("a").await, Acquired::Spent);
    }

    async fn settled_ids_above_the_position_are_handed_on(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        let mut commit = case.commit_of(&fence, 1, 2);
        commit.done = ids([4, 6, 8]);
        case.send(commit).await;
        let mut commit = case.commit_of(&fence, 2, 5);
        commit.passed = ids([4]);
        case.send(commit).await;
        assert_eq!(case.fence().await.done, 2);
        case.settle(&fence, 3, 7).await;

        let (_, owned) = case.take_over("b").await;

        assert_eq!(owned.done, ids([8]));
        assert_eq!(case.fence().await.done, 1, "those at or below the position are forgotten");
    }

    async fn a_paused_place_is_taken_by_nobody(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let stop = case.stop_at(StopKind::Paused, 3).await;

        let late = Acquire { joined: LATER, ..case.wish("b") };

        assert!(stop.since > 0);
        assert_eq!((stop.kind, stop.at, &*stop.error), (StopKind::Paused, id(3), "out of\npaper"));
        assert_eq!(case.take("a").await, Acquired::Stopped(stop.clone()));
        assert_eq!(case.wished(&late).await, Acquired::Stopped(stop));
    }

    async fn a_quarantined_place_waits_until_its_event_is_passed(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let stop = case.stop_at(StopKind::Quarantined, 3).await;
        let late = Acquire { joined: LATER, ..case.wish("b") };
        assert_eq!(case.wished(&late).await, Acquired::Stopped(stop));

        // Nobody passed it, so an operator's hand must have: ours moves the copy through a lapsed owner.
        let case = Case::with(kind, 1..=5).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 4).await;
        case.give_up(&fence).await;
        case.stop_at(StopKind::Quarantined, 3).await;

        let (_, owned) = case.own("b").await;

        assert_eq!(owned.position, id(4));
        assert_eq!(case.fence().await.stop, None);
    }

    async fn a_halted_place_is_taken_only_by_who_joined_after_the_mark(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let stop = case.stop_at(StopKind::Halted, 3).await;
        let joined_with_the_mark = Acquire { joined: stop.since, ..case.wish("b") };
        let joined_later = Acquire { joined: stop.since + 1, ..case.wish("c") };

        assert_eq!(case.take("a").await, Acquired::Stopped(stop.clone()));
        assert_eq!(case.wished(&joined_with_the_mark).await, Acquired::Stopped(stop));
        assert!(matches!(case.wished(&joined_later).await, Acquired::Owned(_)));
        assert_eq!(case.fence().await.stop, None);
    }

    async fn lifting_a_halt_gives_the_event_its_tries_again(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let (fence, _) = case.own("a").await;
        let mut commit = case.commit_of(&fence, 1, 2);
        commit.front = FrontMark::Set { id: id(3), fails: 2 };
        case.send(commit).await;
        let (_, owned) = case.take_over("b").await;
        assert_eq!(owned.front, Some(Front { id: id(3), fails: 2, crashes: 1 }));
        case.hands().lapse(&case.place());
        let stop = case.stop_at(StopKind::Halted, 3).await;

        let Acquired::Owned(owned) = case.wished(&Acquire { joined: LATER, ..case.wish("c") }).await else { panic!() };

        assert!(matches!(stop, Stop { kind: StopKind::Halted, .. }));
        assert_eq!(owned.front, Some(Front { id: id(3), fails: 0, crashes: 0 }));
    }

    async fn a_stopped_place_is_left_as_it_is(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        case.stop_at(StopKind::Quarantined, 3).await;
        case.hands().move_group(&case.place(), id(5));
        let (before, group_before) = (case.fence().await, case.look_at("billing").await);

        case.take("a").await;

        assert_eq!((case.fence().await, case.look_at("billing").await), (before, group_before));
    }

    async fn only_unclean_ends_count_as_crashes_of_the_event_in_front(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let (fence, _) = case.own("a").await;
        let mut commit = case.commit_of(&fence, 1, 2);
        commit.front = FrontMark::Set { id: id(3), fails: 1 };
        case.send(commit).await;
        let front = |crashes| Some(Front { id: id(3), fails: 1, crashes });

        assert_eq!(case.own("a").await.1.front, front(0), "asking again is no crash");
        let (fence, owned) = case.take_over("b").await;
        assert_eq!(owned.front, front(1));
        case.give_up(&fence).await;
        assert_eq!(case.own("c").await.1.front, front(1), "a release is no crash");
        assert_eq!(case.take_over("d").await.1.front, front(2));
        assert_eq!(case.fence().await.front, front(2));
    }

    async fn crashes_belong_to_one_event(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let (fence, _) = case.own("a").await;
        let mut commit = case.commit_of(&fence, 1, 2);
        commit.front = FrontMark::Set { id: id(3), fails: 1 };
        case.send(commit).await;
        let (fence, _) = case.take_over("b").await;

        let mut same = case.commit_of(&fence, 1, 2);
        same.front = FrontMark::Set { id: id(3), fails: 2 };
        case.send(same).await;
        assert_eq!(case.fence().await.front, Some(Front { id: id(3), fails: 2, crashes: 1 }));

        let mut next = case.commit_of(&fence, 2, 3);
        next.front = FrontMark::Set { id: id(4), fails: 0 };
        case.send(next).await;
        assert_eq!(case.fence().await.front, Some(Front { id: id(4), fails: 0, crashes: 0 }));

        case.settle(&fence, 3, 3).await;
        assert_eq!(case.fence().await.front, Some(Front { id: id(4), fails: 0, crashes: 0 }), "kept");
        let mut clear = case.commit_of(&fence, 4, 3);
        clear.front = FrontMark::Clear;
        case.send(clear).await;
        assert_eq!(case.fence().await.front, None);
    }

    async fn an_event_that_was_settled_is_not_in_front(kind: Kind) {
        let case = Case::with(kind, 1..=5).await;
        let (fence, _) = case.own("a").await;
        let mut commit = case.commit_of(&fence, 1, 2);
        commit.front = FrontMark::Set { id: id(3), fails: 1 };
        case.send(commit).await;
        case.settle(&fence, 2, 3).await;

        assert_eq!(case.fence().await.front, None);
        assert_eq!(case.take_over("b").await.1.front, None);
    }
}
