//! Taking a place that others have tampered with, each repair with its note.

use runnel::broker::{Note, Owned, StopKind};
use runnel::event::EventId;

use super::on_every_store;
use crate::case::{Case, FIRST, NOTHING, id, ids};

/// The place at that position with 5 and 7 settled above it, given up.
async fn left_at(case: &Case, position: u64) {
    let (fence, _) = case.own("before").await;
    let mut commit = case.commit_of(&fence, 1, position);
    commit.done = ids([5, 7]);
    case.send(commit).await;
    case.give_up(&fence).await;
}

fn found(owned: &Owned) -> (EventId, Option<u64>, &[EventId], &[Note]) {
    (owned.position, owned.entries_read, &owned.done, &owned.notes)
}

on_every_store! {
    async fn a_missing_group_is_made_again_at_our_copy(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        left_at(&case, 3).await;
        case.hands().delete_group(&case.place());

        let (_, owned) = case.own("a").await;

        assert_eq!(found(&owned), (id(3), Some(3), &*ids([5, 7]), &[Note::GroupRecreated][..]));
        assert_eq!(case.look_at("billing").await.position, Some(id(3)));
    }

    async fn a_group_moved_back_is_honoured(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        left_at(&case, 3).await;
        case.hands().move_group(&case.place(), id(1));

        let (_, owned) = case.own("a").await;

        assert_eq!(found(&owned), (id(1), None, &[][..], &[Note::MovedBack { from: id(3), to: id(1) }][..]));
    }

    async fn a_group_moved_forward_is_not_believed(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        left_at(&case, 3).await;
        case.hands().move_group(&case.place(), id(8));

        let (_, owned) = case.own("a").await;

        assert_eq!(found(&owned), (id(3), Some(3), &*ids([5, 7]), &[Note::ForwardMoveIgnored { to: id(8) }][..]));
        assert_eq!(case.look_at("billing").await.position, Some(id(3)));
    }

    async fn what_foreign_consumers_did_in_our_group_is_undone(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        left_at(&case, 3).await;
        case.hands().read_in_group(&case.place(), "someone", 4);
        case.hands().acknowledge(&case.place(), &ids([4, 6]));

        let (_, owned) = case.own("a").await;

        let notes = [Note::Migrated { pending: 2, done: 1 }, Note::ForeignConsumers];
        assert_eq!(found(&owned), (id(3), Some(3), &*ids([5, 7]), &notes[..]));
        let group = case.look_at("billing").await;
        assert_eq!((group.position, group.consumers, group.pending), (Some(id(3)), 0, 0));
    }

    async fn a_group_of_consumers_is_taken_over_with_what_they_acknowledged(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        case.hands().create_group(&case.place(), EventId::ZERO);
        case.hands().read_in_group(&case.place(), "x", 4);
        case.hands().read_in_group(&case.place(), "y", 3);
        case.hands().acknowledge(&case.place(), &ids([1, 2, 4, 6]));

        let (_, owned) = case.own("a").await;

        assert_eq!(found(&owned), (id(2), Some(2), &*ids([4, 6]), &[Note::Migrated { pending: 3, done: 2 }][..]));
        let group = case.look_at("billing").await;
        assert_eq!((group.position, group.consumers, group.pending, group.lag), (Some(id(2)), 0, 0, Some(7)));
    }

    async fn a_group_of_idle_consumers_is_taken_over_as_it_is(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        case.hands().create_group(&case.place(), EventId::ZERO);
        case.hands().read_in_group(&case.place(), "x", 4);
        case.hands().acknowledge(&case.place(), &ids(1..=4));

        let (_, owned) = case.own("a").await;

        assert_eq!(found(&owned), (id(4), Some(4), &[][..], NOTHING));
        assert_eq!(case.look_at("billing").await.consumers, 0);
    }

    async fn pending_entries_that_were_trimmed_are_a_gap(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        case.hands().create_group(&case.place(), EventId::ZERO);
        case.hands().read_in_group(&case.place(), "x", 5);
        case.drop_oldest(&case.stream, FIRST, 6).await.unwrap();

        let (_, owned) = case.own("a").await;

        assert_eq!((owned.position, owned.done.len()), (EventId::ZERO, 0));
        assert_eq!(owned.notes[..2], [Note::Gap { entries: 3 }, Note::Migrated { pending: 5, done: 0 }]);
    }

    async fn too_many_acknowledged_entries_are_processed_again(kind: Kind) {
        let case = Case::with(kind, 1..=10_002).await;
        case.hands().create_group(&case.place(), EventId::ZERO);
        case.hands().read_in_group(&case.place(), "x", 10_002);
        case.hands().acknowledge(&case.place(), &ids(2..=10_002));

        let (_, owned) = case.own("a").await;

        assert_eq!((owned.position, owned.done.len(), &*owned.notes), (EventId::ZERO, 0, &[Note::MigratedWithRepeats][..]));
    }

    async fn a_position_beyond_the_end_is_pulled_back(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        left_at(&case, 4).await;
        case.hands().delete_stream(&case.stream, FIRST);
        case.add(1..=2).await;
        case.hands().create_group(&case.place(), id(4));

        let (_, owned) = case.own("a").await;

        assert_eq!(found(&owned), (id(2), Some(2), &[][..], &[Note::TailLost { from: id(4), to: id(2) }][..]));
    }

    async fn a_stream_that_is_gone_is_begun_anew(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        left_at(&case, 4).await;
        case.hands().delete_stream(&case.stream, FIRST);

        let (_, owned) = case.own("a").await;

        let notes = [Note::GroupRecreated, Note::TailLost { from: id(4), to: EventId::ZERO }];
        assert_eq!(found(&owned), (EventId::ZERO, Some(0), &[][..], &notes[..]));
        case.add(1..=2).await;
        assert_eq!(case.look_at("billing").await.lag, Some(2));
    }

    async fn entries_trimmed_unread_are_counted(kind: Kind) {
        for (keep, entries) in [(5, 1), (2, 4), (0, 6)] {
            let case = Case::with(kind, 1..=9).await;
            let (fence, _) = case.own("before").await;
            case.settle(&fence, 1, 3).await;
            case.give_up(&fence).await;
            case.drop_oldest(&case.stream, FIRST, keep).await.unwrap();

            let (_, owned) = case.own("a").await;

            assert_eq!((owned.position, &*owned.notes), (id(3), &[Note::Gap { entries }][..]), "{keep} kept");
        }
    }

    async fn entries_trimmed_after_they_were_read_are_no_gap(kind: Kind) {
        for keep in [6, 7] {
            let case = Case::with(kind, 1..=9).await;
            let (fence, _) = case.own("before").await;
            case.settle(&fence, 1, 3).await;
            case.give_up(&fence).await;
            case.drop_oldest(&case.stream, FIRST, keep).await.unwrap();

            let (_, owned) = case.own("a").await;

            assert_eq!((owned.entries_read, &*owned.notes), (Some(3), NOTHING), "{keep} kept");
        }
    }

    async fn a_deleted_fence_makes_the_group_be_believed(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        left_at(&case, 3).await;
        case.hands().delete_fence(&case.place());

        let (_, owned) = case.own("a").await;

        assert_eq!(found(&owned), (id(3), Some(3), &*ids([5, 7]), NOTHING));
        assert!(!owned.unclean);
    }

    async fn a_repair_comes_before_a_mark_is_judged(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("before").await;
        case.settle(&fence, 1, 6).await;
        case.give_up(&fence).await;
        let stop = case.stop_at(StopKind::Quarantined, 4).await;

        case.hands().move_group(&case.place(), id(2));

        assert_eq!(case.take("a").await, runnel::broker::Acquired::Stopped(stop), "the position lies before it again");
    }
}
