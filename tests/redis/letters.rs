//! Dead letters on a real server: keys in the wrong hands, and a server without memory.

use redis::Value;
use runnel::broker::{ABOUT, Broker, Commit, Committed, Intervention, KeyLayout, NewLetter, Retried, StreamRef};
use runnel::event::Fields;
use runnel::{EventId, Partition};

use crate::support::{Options, Server};
use crate::world::{World, code, facts, group, id};

const FIRST: Partition = Partition(0);

fn orders() -> StreamRef {
    facts("orders").into()
}

fn with_letter(commit: Commit) -> Commit {
    let fields = Fields::from_pairs([("data", "1")]);
    Commit { letters: vec![NewLetter { id: id(1), about: "{}".into(), fields }], ..commit }
}

async fn letters_of(world: &World, stream: &StreamRef) -> Vec<EventId> {
    let stream = stream.dead_letters().into();
    let letters = world.broker.range(&stream, FIRST, EventId::ZERO, EventId::MAX, 100, false).await.unwrap();
    letters.into_iter().map(|letter| letter.id).collect()
}

#[tokio::test]
async fn where_the_letters_key_is_no_stream_nothing_is_changed() {
    let world = World::new().await;
    world.add(1..=3);
    let owner = world.acquire("a").await;
    let _: Value = world.does("SET L mine");
    let before: Value = world.does("HGETALL F");

    let commit = owner.try_send(with_letter(owner.commits(1, 1, 1))).await.unwrap_err();
    let change = Intervention::DeadLetter { id: id(1), about: "{}".into(), limit: 10 };
    let by_hand = world.broker.intervene(&world.place, &change).await.unwrap_err();
    let retry = world.broker.retry_letters(&orders(), FIRST, &[id(1)]).await.unwrap_err();
    let drop = world.broker.drop_letters(&orders(), FIRST, &[id(1)]).await.unwrap_err();

    for refused in [&commit, &by_hand, &retry, &drop] {
        assert_eq!(code(refused), "WRONGTYPE");
        assert!(refused.to_string().contains("__dead:{shop.orders.0}.0"), "{refused}");
    }
    assert_eq!(world.does::<Value>("HGETALL F"), before);
    assert_eq!(world.group().0, EventId::ZERO);
    assert_eq!(owner.commit(1, 1).await, Committed::Applied, "a commit without letters does not look there");
}

#[tokio::test]
async fn where_the_partition_is_no_stream_no_letter_is_lost() {
    let world = World::new().await;
    let _: Value = world.does(&format!("XADD L 5-0 {ABOUT} {{}} data 1"));
    let _: Value = world.does("SET P mine");

    let refused = world.broker.retry_letters(&orders(), FIRST, &[id(5)]).await.unwrap_err();

    assert_eq!(code(&refused), "WRONGTYPE");
    assert!(refused.to_string().contains("__strm:{shop.orders.0}.0"), "{refused}");
    assert_eq!(letters_of(&world, &orders()).await, [id(5)]);
}

#[tokio::test]
async fn a_server_without_memory_still_takes_letters_but_puts_none_back() {
    let server = Server::start(Options::redis());
    let world = World::on(&server).await;
    world.add(1..=3);
    let owner = world.acquire("a").await;
    let _: Value = world.does("CONFIG SET maxmemory 1");

    assert_eq!(owner.send(with_letter(owner.commits(1, 1, 1))).await, Committed::Applied);
    let letters = letters_of(&world, &orders()).await;
    let refused = world.broker.retry_letters(&orders(), FIRST, &letters).await.unwrap_err();
    assert_eq!(code(&refused), "OOM");
    let change = Intervention::DeadLetter { id: id(2), about: "{}".into(), limit: 10 };
    assert_eq!(world.broker.intervene(&world.place, &change).await.unwrap(), id(2));
    assert_eq!(letters_of(&world, &orders()).await.len(), 2);
    assert_eq!(world.broker.drop_letters(&orders(), FIRST, &letters).await.unwrap(), 1);
}

#[tokio::test]
async fn letters_beside_the_keys_of_runnel_for_python_are_kept_retried_and_consumed() {
    let world = World::new().await;
    let mut stream = facts("shop.orders");
    stream.keys = KeyLayout::Python;
    let stream: StreamRef = stream.into();
    let mut wish = world.wish("a");
    wish.place.group.stream = StreamRef::clone(&stream);
    let owner = world.owns(&wish).await;
    let commit = Commit { place: wish.place.clone(), ..with_letter(owner.commits(1, 0, 0)) };
    assert_eq!(owner.send(commit).await, Committed::Applied);

    let letters = letters_of(&world, &stream).await;
    assert_eq!(world.does::<u64>("XLEN PYTHON-L"), 1);
    let mut consumer = world.wish("b");
    consumer.place.group = group("orders", "reader");
    consumer.place.group.stream = stream.dead_letters().into();
    let reader = world.owns(&consumer).await;
    assert_eq!(reader.owned.last, letters[0]);

    let back = world.broker.retry_letters(&stream, FIRST, &letters).await.unwrap();
    assert!(matches!(back[..], [Retried::Back(_)]), "{back:?}");
}
