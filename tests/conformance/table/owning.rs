//! Keeping a place and giving it up: commits, renewals, releases.

use runnel::broker::{Committed, Epoch, Fence, Mark, Note, Renewed, StopKind};
use runnel::event::EventId;

use super::on_every_store;
use crate::case::{Case, FIRST, id, ids};

on_every_store! {
    async fn a_commit_moves_the_position_where_everybody_sees_it(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;

        case.settle(&fence, 1, 4).await;

        let found = case.look_at("billing").await;
        assert_eq!((found.position, found.lag), (Some(id(4)), Some(5)));
        assert_eq!(case.fence().await.position, id(4));
    }

    async fn a_commit_sent_again_changes_nothing(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 4).await;

        let mut other = case.commit_of(&fence, 1, 7);
        other.done = ids([9]);

        assert_eq!(case.send(other).await, Committed::Applied);
        assert_eq!((case.fence().await.position, case.fence().await.done), (id(4), 0));
    }

    async fn a_commit_out_of_turn_is_a_gap(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 2).await;
        case.settle(&fence, 2, 3).await;

        for n in [0, 1, 4, 9] {
            assert_eq!(case.send(case.commit_of(&fence, n, 9)).await, Committed::Gap { have: 2 }, "{n}");
        }
        assert_eq!(case.fence().await.position, id(3));
    }

    async fn a_commit_of_nothing_new_is_applied(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 4).await;

        case.settle(&fence, 2, 4).await;
        case.settle(&fence, 3, 4).await;
    }

    async fn who_was_overtaken_is_fenced(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (zombie, _) = case.own("a").await;
        let (owner, _) = case.take_over("b").await;
        let before = case.fence().await;

        assert_eq!(case.send(case.commit_of(&zombie, 1, 9)).await, Committed::Fenced { by: "b".into() });
        assert_eq!(case.prolong(&zombie, 9).await, Renewed::Fenced { by: "b".into() });
        assert!(!case.give_up(&zombie).await);
        assert_eq!(case.fence().await, before);

        let forged = Fence { epoch: Epoch(owner.epoch.0 + 1), ..owner.clone() };
        assert_eq!(case.send(case.commit_of(&forged, 1, 9)).await, Committed::Fenced { by: "b".into() });
        assert_eq!(case.prolong(&forged, 9).await, Renewed::Fenced { by: "b".into() });
        assert!(!case.give_up(&forged).await);
        assert_eq!(case.fence().await, before);
    }

    async fn where_nobody_owns_everybody_is_fenced_by_nobody(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let stranger = Fence { nonce: "x".into(), epoch: Epoch(1) };
        let nobody = String::new;

        assert_eq!(case.send(case.commit_of(&stranger, 1, 9)).await, Committed::Fenced { by: nobody() });
        assert_eq!(case.prolong(&stranger, 9).await, Renewed::Fenced { by: nobody() });
        assert!(!case.give_up(&stranger).await);

        let (fence, _) = case.own("a").await;
        case.give_up(&fence).await;
        assert_eq!(case.send(case.commit_of(&fence, 1, 9)).await, Committed::Fenced { by: nobody() });
        assert_eq!(case.prolong(&fence, 9).await, Renewed::Fenced { by: nobody() });
    }

    async fn a_lapsed_lease_is_still_good_while_nobody_took_over(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.hands().lapse(&case.place());

        case.settle(&fence, 1, 3).await;
        assert!(matches!(case.prolong(&fence, 3).await, Renewed::Ours { .. }));
        assert!(case.fence().await.until > 0);
    }

    async fn without_a_group_nothing_is_settled(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.hands().delete_group(&case.place());

        assert_eq!(case.send(case.commit_of(&fence, 1, 3)).await, Committed::GroupMissing);
        assert_eq!(case.prolong(&fence, 3).await, Renewed::GroupMissing);

        case.hands().delete_stream(&case.stream, FIRST);
        assert_eq!(case.send(case.commit_of(&fence, 1, 3)).await, Committed::GroupMissing);
        assert_eq!(case.prolong(&fence, 3).await, Renewed::GroupMissing);
        assert_eq!(case.fence().await.position, EventId::ZERO);
    }

    async fn commits_of_one_call_are_applied_in_their_order(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;

        let all = [1, 2, 4, 3].map(|n| case.commit_of(&fence, n, n));
        let answers: Vec<_> = case.commit(&all).await.into_iter().map(Result::unwrap).collect();

        assert_eq!(answers, [Committed::Applied, Committed::Applied, Committed::Gap { have: 2 }, Committed::Applied]);
        assert_eq!(case.fence().await.position, id(3));
    }

    async fn a_renewal_tells_how_far_it_is_to_the_end(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 4).await;

        let renewed = case.prolong(&fence, 6).await;

        assert_eq!(renewed, Renewed::Ours { last: id(9), lag: Some(5), entries_read: Some(4), notes: vec![] });
    }

    async fn a_lag_below_zero_is_unknown(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        let mut commit = case.commit_of(&fence, 1, 4);
        commit.entries_read = Some(12);
        case.send(commit).await;

        assert_eq!(case.look_at("billing").await.lag, None);
        assert!(matches!(case.prolong(&fence, 4).await, Renewed::Ours { lag: None, entries_read: Some(12), .. }));
    }

    async fn a_renewal_tells_what_nobody_told_the_owner(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.settle(&fence, 1, 4).await;
        let notes = async |read| match case.prolong(&fence, read).await {
            Renewed::Ours { notes, .. } => notes,
            other => panic!("{other:?}"),
        };

        case.hands().move_group(&case.place(), id(2));
        assert_eq!(notes(4).await, [Note::MovedBack { from: id(4), to: id(2) }]);
        case.hands().move_group(&case.place(), id(7));
        assert_eq!(notes(4).await, [Note::ForwardMoveIgnored { to: id(7) }]);
        case.hands().move_group(&case.place(), id(4));
        case.hands().read_in_group(&case.place(), "someone", 1);
        assert_eq!(notes(12).await, [Note::ForwardMoveIgnored { to: id(5) }, Note::ForeignConsumers, Note::ReadPositionAhead]);
    }

    async fn a_renewal_at_the_end_finds_what_was_trimmed_unread(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        let mut commit = case.commit_of(&fence, 1, 9);
        commit.entries_read = Some(6);
        case.send(commit).await;

        let renewed = case.prolong(&fence, 9).await;
        assert!(
            matches!(&renewed, Renewed::Ours { entries_read: Some(9), notes, .. } if *notes == [Note::Gap { entries: 3 }]),
            "{renewed:?}"
        );

        let again = case.prolong(&fence, 9).await;
        assert_eq!(again, Renewed::Ours { last: id(9), lag: Some(0), entries_read: Some(9), notes: vec![] });
    }

    async fn a_renewal_at_the_end_learns_the_entries_read(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        let mut commit = case.commit_of(&fence, 1, 9);
        commit.entries_read = None;
        case.send(commit).await;

        let renewed = case.prolong(&fence, 9).await;

        assert!(matches!(&renewed, Renewed::Ours { entries_read: Some(9), notes, .. } if notes.is_empty()), "{renewed:?}");
    }

    async fn a_release_may_be_sent_again(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (first, _) = case.own("a").await;
        assert!(case.give_up(&first).await);
        assert!(case.give_up(&first).await);

        let (second, _) = case.own("b").await;
        assert!(case.give_up(&first).await, "it was ours once");
        assert_eq!(case.fence().await.worker.as_deref(), Some("worker-b"), "and frees nobody else's");

        assert!(case.give_up(&second).await);
        assert_eq!(case.fence().await.worker, None);
    }

    async fn a_release_sent_again_leaves_no_mark(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.give_up(&fence).await;

        let mark = Mark { kind: StopKind::Halted, at: id(1), error: String::new() };

        assert!(case.release(&case.place(), &fence, Some(&mark)).await.unwrap());
        assert_eq!(case.fence().await.stop, None);
    }
}
