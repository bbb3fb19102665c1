//! What operators do to places, owned or not.

use runnel::broker::{
    Acquired, Committed, Forgotten, Front, FrontMark, Group, Intervention, Note, Renewed, Start, StopKind, Trimmed,
};
use runnel::event::EventId;

use super::on_every_store;
use crate::case::{Case, FIRST, LATER, NOTHING, TTL, id, ids};

async fn intervene(case: &Case, change: Intervention) -> EventId {
    case.intervene(&case.place(), &change).await.unwrap()
}

on_every_store! {
    async fn every_intervention_fences_out_the_owner(kind: Kind) {
        let changes = [Intervention::Reset(Start::End), Intervention::Resume, Intervention::Skip, Intervention::Pause];
        for change in changes {
            let case = Case::with(kind, 1..=9).await;
            let (fence, _) = case.own("a").await;

            intervene(&case, change.clone()).await;

            let nobody = String::new;
            assert_eq!(case.send(case.commit_of(&fence, 1, 9)).await, Committed::Fenced { by: nobody() }, "{change:?}");
            assert_eq!(case.prolong(&fence, 9).await, Renewed::Fenced { by: nobody() });
            assert!(!case.give_up(&fence).await);
            let found = case.fence().await;
            assert!(found.epoch > fence.epoch && found.worker.is_none(), "{found:?}");
        }
    }

    async fn a_reset_moves_anywhere(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("before").await;
        let mut commit = case.commit_of(&fence, 1, 4);
        commit.done = ids([7]);
        commit.front = FrontMark::Set { id: id(5), fails: 1 };
        case.send(commit).await;

        for (start, position) in
            [(Start::Beginning, EventId::ZERO), (Start::End, id(9)), (Start::After(id(6)), id(6)), (Start::After(id(2)), id(2))]
        {
            assert_eq!(intervene(&case, Intervention::Reset(start)).await, position);
            let (fence, group) = (case.fence().await, case.look_at("billing").await);
            assert_eq!((fence.position, fence.front, fence.done, group.position), (position, None, 0, Some(position)));
        }

        let (_, owned) = case.own("a").await;
        assert_eq!((owned.position, owned.unclean, owned.front, &*owned.done), (id(2), false, None, &[][..]));
        assert_eq!(&*owned.notes, NOTHING);
    }

    async fn a_reset_makes_a_place_that_never_was(kind: Kind) {
        let case = Case::empty(kind).await;

        assert_eq!(intervene(&case, Intervention::Reset(Start::End)).await, EventId::ZERO);
        assert_eq!(case.look_at("billing").await.position, Some(EventId::ZERO));

        case.add(1..=3).await;
        let (_, owned) = case.own("a").await;
        assert_eq!((owned.position, &*owned.notes), (EventId::ZERO, NOTHING));
        assert_eq!(case.look_at("billing").await.lag, Some(3));
    }

    async fn a_reset_beyond_the_end_is_pulled_back_by_the_next_owner(kind: Kind) {
        let case = Case::with(kind, 1..=3).await;

        assert_eq!(intervene(&case, Intervention::Reset(Start::After(id(7)))).await, id(7));

        let (_, owned) = case.own("a").await;
        assert_eq!((owned.position, &*owned.notes), (id(3), &[Note::TailLost { from: id(7), to: id(3) }][..]));
    }

    async fn a_resume_lifts_every_mark_and_forgets_the_tries(kind: Kind) {
        for kind_of_stop in [StopKind::Paused, StopKind::Halted, StopKind::Quarantined] {
            let case = Case::with(kind, 1..=9).await;
            let (fence, _) = case.own("before").await;
            let mut commit = case.commit_of(&fence, 1, 4);
            commit.front = FrontMark::Set { id: id(5), fails: 3 };
            case.send(commit).await;
            case.give_up(&fence).await;
            case.stop_at(kind_of_stop, 5).await;

            assert_eq!(intervene(&case, Intervention::Resume).await, id(4));

            let (_, owned) = case.own("a").await;
            assert_eq!((owned.position, owned.front, &*owned.notes), (id(4), None, NOTHING));
            assert_eq!(case.fence().await.stop, None);
        }
    }

    async fn there_is_nothing_to_resume_or_to_skip_where_nobody_ever_was(kind: Kind) {
        for change in [Intervention::Resume, Intervention::Skip] {
            let case = Case::with(kind, 1..=3).await;

            assert_eq!(intervene(&case, change).await, EventId::ZERO);

            assert_eq!(case.look().await.groups, []);
            let (_, owned) = case.own("a").await;
            assert_eq!((&*owned.notes, owned.unclean), (&[Note::Begun][..], false));
        }
    }

    async fn a_skip_moves_past_the_marked_event(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("before").await;
        case.settle(&fence, 1, 4).await;
        case.give_up(&fence).await;
        case.stop_at(StopKind::Quarantined, 5).await;

        assert_eq!(intervene(&case, Intervention::Skip).await, id(5));

        let (_, owned) = case.own("a").await;
        assert_eq!((owned.position, owned.entries_read, &*owned.notes), (id(5), Some(5), NOTHING));
    }

    async fn a_skip_without_a_mark_moves_past_the_next_event(kind: Kind) {
        let case = Case::with(kind, 1..=7).await;
        let (fence, _) = case.own("before").await;
        let mut commit = case.commit_of(&fence, 1, 4);
        commit.done = ids([5, 7]);
        case.send(commit).await;

        assert_eq!(intervene(&case, Intervention::Skip).await, id(5));
        assert_eq!(case.fence().await.done, 1);
        assert_eq!(intervene(&case, Intervention::Skip).await, id(6));
        assert_eq!(intervene(&case, Intervention::Skip).await, id(7));
        assert_eq!(intervene(&case, Intervention::Skip).await, id(7), "there is no next one");

        let (_, owned) = case.own("a").await;
        assert_eq!((owned.position, owned.entries_read, &*owned.done), (id(7), Some(7), &[][..]));
    }

    async fn a_skip_of_many_does_not_count_them(kind: Kind) {
        for (last, entries_read) in [(999, Some(999)), (1000, None)] {
            let case = Case::with(kind, 1..=1200).await;
            case.stop_at(StopKind::Quarantined, last).await;

            assert_eq!(intervene(&case, Intervention::Skip).await, id(last));

            assert_eq!(case.own("a").await.1.entries_read, entries_read);
        }
    }

    async fn a_pause_keeps_everything_but_the_owner(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("before").await;
        let mut commit = case.commit_of(&fence, 1, 4);
        commit.done = ids([7]);
        commit.front = FrontMark::Set { id: id(5), fails: 3 };
        case.send(commit).await;

        assert_eq!(intervene(&case, Intervention::Pause).await, id(4));

        let stop = case.fence().await.stop.unwrap();
        assert_eq!((stop.kind, stop.at, &*stop.error, stop.since > 0), (StopKind::Paused, id(4), "", true));
        assert_eq!(case.take("a").await, Acquired::Stopped(stop));
        let found = case.fence().await;
        assert_eq!((found.position, found.done, found.front), (id(4), 1, Some(Front { id: id(5), fails: 3, crashes: 0 })));
    }

    async fn a_place_that_never_was_can_be_paused(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;

        assert_eq!(intervene(&case, Intervention::Pause).await, EventId::ZERO);
        assert!(matches!(case.take("a").await, Acquired::Stopped(stop) if stop.kind == StopKind::Paused));
        intervene(&case, Intervention::Resume).await;

        let wish = runnel::broker::Acquire { start: Start::After(id(5)), ..case.wish("b") };
        assert!(matches!(case.wished(&wish).await, Acquired::Owned(owned) if owned.position == id(5)));
    }

    async fn an_intervention_takes_back_what_the_group_was_told_of_a_stop(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let stop = case.stop_at(StopKind::Quarantined, 5).await;
        case.note_stopped(&case.group, FIRST, Some(&stop)).await.unwrap();

        intervene(&case, Intervention::Resume).await;

        assert_eq!(case.beat(&case.group, "ann", TTL, None).await.unwrap().stopped, []);
    }

    async fn an_owned_processor_cannot_be_forgotten(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        case.own("a").await;

        let refused = case.forget(&case.group).await.unwrap();
        assert_eq!(refused, Forgotten::Owned { by: "worker-a".into(), partition: FIRST });
        assert!(case.look_at("billing").await.registered);

        case.hands().lapse(&case.place());
        assert_eq!(case.forget(&case.group).await.unwrap(), Forgotten::Gone { partitions: 1 });
    }

    async fn nothing_is_left_of_a_forgotten_processor(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        let mut commit = case.commit_of(&fence, 1, 4);
        commit.done = ids([7]);
        case.send(commit).await;
        case.give_up(&fence).await;
        case.beat(&case.group, "ann", TTL, None).await.unwrap();
        case.swap(&case.group, 0, "{}", &[], "").await.unwrap();

        assert_eq!(case.forget(&case.group).await.unwrap(), Forgotten::Gone { partitions: 1 });
        assert_eq!(case.forget(&case.group).await.unwrap(), Forgotten::Gone { partitions: 0 });

        assert_eq!(case.look().await.groups, []);
        let roll = case.beat(&case.group, "bob", TTL, None).await.unwrap();
        assert_eq!((roll.generation, roll.members.len()), (0, 1));
        let (_, owned) = case.own("b").await;
        assert_eq!((owned.position, &*owned.done, &*owned.notes), (EventId::ZERO, &[][..], &[Note::Begun][..]));
    }

    async fn retention_waits_for_a_registered_processor_that_never_ran(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        case.hands().create_group(&case.place_of("reports"), id(6));

        case.register(&case.group).await.unwrap();
        case.register(&case.group).await.unwrap();

        let trimmed = case.trim(&case.stream, FIRST).await.unwrap();
        assert!(matches!(&trimmed, Trimmed::Held { reason } if reason.contains("billing")), "{trimmed:?}");
        let found = case.look_at("billing").await;
        assert_eq!((found.registered, found.position, found.fence), (true, None, None));
        assert_eq!(case.own("a").await.1.notes, [Note::Begun]);
        assert_eq!(case.forget(&case.place_of("others").group).await.unwrap(), Forgotten::Gone { partitions: 0 });
        case.hands().lapse(&case.place());
        assert_eq!(case.forget(&case.group).await.unwrap(), Forgotten::Gone { partitions: 3 });
    }

    async fn retention_no_longer_waits_for_a_forgotten_processor(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        case.own("a").await;
        case.hands().lapse(&case.place());
        let other = case.place_of("reports");
        case.hands().create_group(&other, id(6));
        assert_eq!(case.trim(&case.stream, FIRST).await.unwrap(), Trimmed::Cut { entries: 0, before: EventId::ZERO });

        case.forget(&case.group).await.unwrap();

        assert_eq!(case.trim(&case.stream, FIRST).await.unwrap(), Trimmed::Cut { entries: 5, before: id(6) });
    }

    async fn forgetting_one_processor_leaves_the_others(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        case.own("a").await;
        let other = Group { processor: "reports".into(), ..case.group.clone() };

        assert_eq!(case.forget(&other).await.unwrap(), Forgotten::Gone { partitions: 0 });

        assert!(matches!(case.wished(&runnel::broker::Acquire { joined: LATER, ..case.wish("b") }).await, Acquired::Held { .. }));
    }
}
