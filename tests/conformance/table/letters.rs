//! Dead letters: stored with the step that gives an event up, consumed like a stream, retried and dropped.

mod consumers;

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
}
