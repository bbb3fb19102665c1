//! Dead letters: stored with the step that gives an event up, consumed like a stream, retried and dropped.

use std::sync::Arc;

use bytes::Bytes;
use runnel::broker::{
    ABOUT, Acquired, Commit, Committed, Forgotten, FrontMark, Intervention, MOST_FIELDS, NewEntry, NewLetter, Note,
    RETRIED, Renewed, Retried, Source, StopKind, StreamRef, Trimmed,
};
use runnel::event::{Entry, EventId, Fields};

use super::on_every_store;
use crate::case::{Case, FIRST, NOTHING, code, entry, facts, id, ids, ids_of};

const ROOM: u64 = 1000;

/// Fields that a careless store would change: bytes that are no text, doubled names, empty ones, any order.
fn awkward() -> Fields {
    Fields::from_pairs([
        (&b"z\xff\0\r\n"[..], &b"\x80"[..]),
        (b"a", b""),
        (b"", b"1"),
        (b"a", b"2"),
        (b"__letter", b"mine"),
    ])
}

fn about(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn letter(event: u64, fields: Fields) -> NewLetter {
    NewLetter { id: id(event), about: about(&format!("gave up {event}")), fields }
}

fn plain(event: u64) -> NewLetter {
    letter(event, Fields::from_pairs([("data", event.to_string())]))
}

fn with(commit: Commit, letters: impl IntoIterator<Item = NewLetter>) -> Commit {
    Commit { letters: letters.into_iter().collect(), letters_limit: ROOM, ..commit }
}

/// First field, the event's fields, and perhaps one after them.
fn around(first: (&str, &str), event: &Fields, last: Option<(&str, &str)>) -> Fields {
    let field = |(name, value): (&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let event = event.iter().map(|(name, value)| (name.to_vec(), value.to_vec()));
    Fields::from_pairs(std::iter::once(field(first)).chain(event).chain(last.map(field)))
}

async fn entries(case: &Case, stream: &StreamRef) -> Vec<Entry> {
    case.range(stream, FIRST, EventId::ZERO, EventId::MAX, 10_000, false).await.unwrap()
}

async fn letters(case: &Case) -> Vec<Entry> {
    entries(case, &Arc::new(facts("orders").dead_letters())).await
}

/// A store with these letters, whose events it had and has settled. Answers their ids.
async fn dead(kind: crate::stores::Kind, events: std::ops::RangeInclusive<u64>) -> (Case, Vec<EventId>) {
    let case = Case::with(kind, events.clone()).await;
    let (fence, _) = case.own("giver-up").await;
    let commit = case.commit_of(&fence, 1, *events.end());
    assert_eq!(case.send(with(commit, events.map(plain))).await, Committed::Applied);
    assert!(case.give_up(&fence).await);
    let ids = ids_of(&letters(&case).await);
    (case, ids)
}

async fn retry(case: &Case, ids: &[EventId]) -> Vec<Retried> {
    case.retry_letters(&case.stream, FIRST, ids).await.unwrap()
}

async fn discard(case: &Case, ids: &[EventId]) -> u64 {
    case.drop_letters(&Arc::new(facts("orders")), FIRST, ids).await.unwrap()
}

fn give_up(event: u64, limit: u64) -> Intervention {
    Intervention::DeadLetter { id: id(event), about: about("by hand"), limit }
}

/// Everything that a refusal must leave alone.
async fn all_of(case: &Case) -> String {
    format!("{:?} {:?} {:?}", case.look().await, case.events().await, letters(case).await)
}

on_every_store! {
    async fn letters_are_stored_once_however_often_their_commit_is_sent(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        let mut commit = with(case.commit_of(&fence, 1, 4), [letter(2, awkward()), plain(4)]);
        (commit.done, commit.passed, commit.front) = (ids([6, 7]), ids([3]), FrontMark::Set { id: id(5), fails: 2 });

        for _ in 0..3 {
            assert_eq!(case.send(commit.clone()).await, Committed::Applied);
        }

        let found: Vec<Fields> = letters(&case).await.into_iter().map(|letter| letter.fields).collect();
        let expected = [
            around((ABOUT, "gave up 2"), &awkward(), None),
            around((ABOUT, "gave up 4"), &Fields::from_pairs([("data", "4")]), None),
        ];
        assert_eq!(found, expected);
        let fence = case.fence().await;
        assert_eq!((fence.position, fence.done, fence.front.map(|front| front.fails)), (id(4), 2, Some(2)));
        assert_eq!(case.events().await, ids(1..=9), "they are copies");
    }

    async fn large_letters_and_many_are_stored_whole(kind: Kind) {
        let case = Case::with(kind, 1..=600).await;
        let (fence, _) = case.own("a").await;
        let large = Fields::from_pairs([("data", vec![0xfe; 1 << 20])]);
        let mut commit = with(case.commit_of(&fence, 1, 600), (1..=599).map(plain).chain([letter(600, large.clone())]));
        commit.done = ids(700..2900);

        assert_eq!(case.send(commit).await, Committed::Applied);

        let found = letters(&case).await;
        assert_eq!((found.len(), case.fence().await.done), (600, 2200));
        assert_eq!(found[599].fields, around((ABOUT, "gave up 600"), &large, None));
        let Retried::Back(back) = retry(&case, &[found[599].id]).await[0] else { panic!("it is there") };
        let event = case.range(&case.stream, FIRST, back, back, 1, false).await.unwrap().remove(0);
        assert_eq!(event.fields.get("data"), large.get("data"));
    }

    async fn where_there_is_no_room_nothing_is_settled(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        case.send(with(case.commit_of(&fence, 1, 2), [plain(1), plain(2)])).await;
        let mut commit = with(case.commit_of(&fence, 2, 4), [plain(3), plain(4)]);
        (commit.letters_limit, commit.done, commit.front) = (3, ids([6]), FrontMark::Set { id: id(5), fails: 1 });
        let before = all_of(&case).await;

        assert_eq!(case.send(commit.clone()).await, Committed::LettersFull { have: 2 });
        assert_eq!(all_of(&case).await, before);

        let first = letters(&case).await[0].id;
        assert_eq!(discard(&case, &[first]).await, 1);
        assert_eq!(case.send(commit.clone()).await, Committed::Applied);
        assert_eq!(case.send(commit).await, Committed::Applied, "a resend is not refused by the letters it stored itself");
        assert_eq!((letters(&case).await.len(), case.fence().await.position), (3, id(4)));
    }

    async fn who_does_not_own_the_place_stores_no_letters(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (old, _) = case.own("a").await;
        let (new, _) = case.take_over("b").await;

        let late = case.send(with(case.commit_of(&old, 1, 2), [plain(2)])).await;
        let skipped = case.send(with(case.commit_of(&new, 2, 2), [plain(2)])).await;
        case.hands().delete_group(&case.place());
        let gone = case.send(with(case.commit_of(&new, 1, 2), [plain(2)])).await;

        assert!(matches!(late, Committed::Fenced { .. }), "{late:?}");
        assert_eq!((skipped, gone), (Committed::Gap { have: 0 }, Committed::GroupMissing));
        assert_eq!(letters(&case).await, []);
    }

    async fn an_event_of_too_many_fields_is_refused_whole(kind: Kind) {
        let case = Case::with(kind, 1..=9).await;
        let (fence, _) = case.own("a").await;
        let wide = |fields: usize| Fields::from_pairs((0..fields).map(|n| (n.to_string(), "x")));
        let before = all_of(&case).await;

        let refused = case.commit(&[with(case.commit_of(&fence, 1, 2), [plain(1), letter(2, wide(MOST_FIELDS))])]).await;
        assert_eq!(code(refused.into_iter().next().unwrap()), "TOOMANYFIELDS");
        assert_eq!(all_of(&case).await, before);

        let most = wide(MOST_FIELDS - 1);
        assert_eq!(case.send(with(case.commit_of(&fence, 1, 2), [letter(2, most.clone())])).await, Committed::Applied);
        let stored = letters(&case).await.remove(0);
        assert_eq!(stored.fields, around((ABOUT, "gave up 2"), &most, None));
        assert!(matches!(retry(&case, &[stored.id]).await[..], [Retried::Back(_)]));
    }

    async fn where_no_id_is_left_nothing_is_changed(kind: Kind) {
        let (case, stored) = dead(kind, 1..=2).await;
        let (fence, _) = case.own("a").await;
        let last = EventId::new(u64::MAX, 5);
        case.append(&case.stream, vec![entry(FIRST, Some(last))]).await.unwrap().ids.remove(0).unwrap();
        case.append(&case.stream.dead_letters().into(), vec![entry(FIRST, Some(last))]).await.unwrap();
        let before = all_of(&case).await;

        let commit = case.commit(&[with(case.commit_of(&fence, 1, 2), [plain(2)])]).await.remove(0);
        assert_eq!(code(commit), "NOIDS");
        assert_eq!(code(case.retry_letters(&case.stream, FIRST, &stored).await), "NOIDS");
        let by_hand = Intervention::DeadLetter { id: last, about: about("x"), limit: ROOM };
        assert_eq!(code(case.intervene(&case.place(), &by_hand).await), "NOIDS");

        assert_eq!(all_of(&case).await, before);
    }

    async fn retried_letters_go_back_in_the_order_given_and_once(kind: Kind) {
        let (case, stored) = dead(kind, 1..=4).await;
        let source = Source::Partition(Arc::clone(&case.stream), FIRST);
        let stranger = EventId::new(7, 7);

        let asked = [stored[2], stranger, stored[0], stored[2], stored[3]];
        let answers = retry(&case, &asked).await;

        let [Retried::Back(third), Retried::Gone, Retried::Back(first), Retried::Gone, Retried::Back(fourth)] = answers[..]
        else {
            panic!("{answers:?}");
        };
        assert!(third < first && first < fourth);
        assert_eq!(retry(&case, &asked).await, [Retried::Gone; 5]);
        let back = case.read(&source, id(4), 10, false).await.unwrap();
        assert_eq!(ids_of(&back), [third, first, fourth]);
        for (entry, event) in back.iter().zip([3, 1, 4]) {
            let mark = (RETRIED, &*format!("gave up {event}"));
            let expected = Fields::from_pairs([("data", &*event.to_string()), mark]);
            assert_eq!(entry.fields, expected);
        }
        assert_eq!(ids_of(&letters(&case).await), [stored[1]]);
        assert_eq!(retry(&case, &[]).await, []);
    }

    async fn a_retried_event_has_every_byte_that_it_had(kind: Kind) {
        let case = Case::with(kind, 1..=2).await;
        let (fence, _) = case.own("a").await;
        let nothing = Fields::default();
        case.send(with(case.commit_of(&fence, 1, 2), [letter(1, awkward()), letter(2, nothing)])).await;
        let stored = ids_of(&letters(&case).await);

        retry(&case, &stored).await;

        let back = entries(&case, &case.stream).await;
        let mut expected: Vec<_> = awkward().iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        expected.push((RETRIED.into(), b"gave up 1".to_vec()));
        assert_eq!(back[2].fields, Fields::from_pairs(expected));
        assert_eq!(back[3].fields, Fields::from_pairs([(RETRIED, "gave up 2")]));
    }

    async fn many_letters_are_retried_in_one_go(kind: Kind) {
        let (case, stored) = dead(kind, 1..=350).await;

        let answers = retry(&case, &stored).await;

        assert!(answers.iter().all(|answer| matches!(answer, Retried::Back(_))));
        assert_eq!((case.events().await.len(), letters(&case).await.len()), (700, 0));
    }

    async fn what_is_no_letter_is_not_put_back_and_may_be_dropped(kind: Kind) {
        let (case, stored) = dead(kind, 1..=2).await;
        let dead: StreamRef = case.stream.dead_letters().into();
        let foreign = Fields::from_pairs([("data", "1"), (ABOUT, "not the first")]);
        let appended = case.append(&dead, vec![NewEntry { partition: FIRST, id: None, fields: foreign }]).await.unwrap();
        let foreign = *appended.ids[0].as_ref().unwrap();
        let before = all_of(&case).await;

        let refused = case.retry_letters(&case.stream, FIRST, &[stored[0], foreign, stored[1]]).await;

        assert_eq!(code(refused), "BADLETTER");
        assert_eq!(all_of(&case).await, before);
        assert_eq!(discard(&case, &[stored[1], foreign, stored[1], id(3)]).await, 2);
        assert_eq!(ids_of(&letters(&case).await), [stored[0]]);
        assert_eq!(discard(&case, &[]).await, 0);
    }

    async fn where_there_never_was_a_letter_none_is_retried_or_dropped(kind: Kind) {
        let case = Case::empty(kind).await;

        assert_eq!(retry(&case, &ids([1, 2])).await, [Retried::Gone; 2]);
        assert_eq!(discard(&case, &ids([1, 2])).await, 0);

        assert_eq!((case.look().await.length, case.look().await.groups), (0, vec![]));
    }

    async fn letters_have_the_facts_of_their_stream_and_are_not_listed(kind: Kind) {
        let case = Case::empty(kind).await;
        assert_eq!(runnel::broker::Broker::stream(&*case, "orders.dead").await.unwrap(), None);

        let declared = case.declare(&facts("orders")).await.unwrap();

        assert_eq!(runnel::broker::Broker::stream(&*case, "orders.dead").await.unwrap(), Some(declared.dead_letters()));
        assert_eq!(case.streams().await.unwrap(), ["orders"]);
        assert_eq!(code(case.declare(&declared.dead_letters()).await), "DEADLETTERS");
        assert_eq!(case.streams().await.unwrap(), ["orders"]);
    }

    async fn a_retried_event_that_is_given_up_by_hand_is_stored_as_it_was_sent(kind: Kind) {
        let (case, stored) = dead(kind, 1..=2).await;
        let [Retried::Back(back)] = retry(&case, &stored[..1]).await[..] else { panic!("it is there") };

        let by_hand = Intervention::DeadLetter { id: back, about: about("by hand"), limit: ROOM };
        assert_eq!(case.intervene(&case.place(), &by_hand).await.unwrap(), back);

        let event = Fields::from_pairs([("data", "1")]);
        assert_eq!(letters(&case).await[1].fields, around((ABOUT, "by hand"), &event, None));
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
}
