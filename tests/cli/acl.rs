//! Users made of exactly the rules that `acl` prints: each can do its work, and nothing of the others'.

use std::sync::Arc;
use std::time::Duration;

use runnel::broker::{
    Acquire, Acquired, Begun, Bidden, Broker, BrokerError, Claim, ClaimKind, Claimed, Commit, Committed, Fence,
    FrontMark, Group, Intervention, JobStop, NewEntry, NewLetter, OpenRun, Place, Renew, Retried, Source, Standing,
    Start, StreamRef, Swapped,
};
use runnel::event::Fields;
use runnel::{EventId, Partition};

use crate::shop::{Ran, Shop, connected};

const TTL: Duration = Duration::from_secs(60);

/// Makes the users that `acl` prints on the shop's server.
fn make_users(shop: &Shop) {
    let printed = shop.runs(&["acl"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    let mut raw = shop.server.raw();
    for line in printed.out.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ').map(|word| word.replace("CHANGE-ME", "secret"));
        let mut command = redis::cmd(&words.next().unwrap());
        words.for_each(|word| _ = command.arg(word));
        let _: () = command.query(&mut raw).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

fn url_of(shop: &Shop, role: &str) -> String {
    format!("unix://{}?user=shop-{role}&pass=secret", shop.server.socket().display())
}

fn runs_as(shop: &Shop, role: &str, arguments: &[&str]) -> Ran {
    let mut command = shop.command(&[&["--app", "shop"], arguments].concat());
    Ran::of(command.env("RUNNEL_REDIS_URL", url_of(shop, role)).output().unwrap())
}

fn entry() -> NewEntry {
    NewEntry { partition: Partition(0), id: None, fields: Fields::from_pairs([("data", "{}")]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_do_everything_a_worker_does() {
    let shop = Shop::open().await;
    make_users(&shop);
    let broker = connected(&url_of(&shop, "worker")).await;
    let (group, stream) = (&shop.group, &shop.group.stream);
    let place = Place { group: group.clone(), partition: Partition(0) };

    broker.declare(stream).await.unwrap();
    let id = *broker.append(stream, vec![entry()]).await.unwrap().ids[0].as_ref().unwrap();
    broker.announce("w1", Standing::Member, TTL, "{}").await.unwrap();
    let roll = broker.beat(group, "w1", TTL, None).await.unwrap();
    assert!(matches!(
        broker.swap(group, roll.generation, "plan", &["w0".into()], "join").await,
        Ok(Swapped::Installed(_))
    ));
    assert!(!broker.read(&Source::Bell(group.clone()), EventId::ZERO, 1, false).await.unwrap().is_empty());
    let nonce: Arc<str> = "n".into();
    let wish = Acquire {
        place: place.clone(),
        nonce: nonce.clone(),
        worker: "w1".into(),
        ttl: TTL,
        start: Start::Beginning,
        joined: roll.now,
    };
    let Acquired::Owned(owned) = broker.acquire(&wish).await.unwrap() else { panic!("it is free") };
    let source = Source::Partition(stream.clone(), Partition(0));
    assert_eq!(broker.read(&source, owned.position, 9, false).await.unwrap()[0].id, id);
    let fence = Fence { nonce, epoch: owned.epoch };
    let commit = Commit {
        place: place.clone(),
        fence: fence.clone(),
        n: owned.n + 1,
        position: id,
        entries_read: Some(1),
        seen: id,
        front: FrontMark::Clear,
        done: vec![EventId::new(id.ms + 1, 0)],
        passed: vec![id],
        letters: vec![NewLetter { id, about: "{}".into(), fields: entry().fields }],
        letters_limit: 10,
    };
    assert_eq!(broker.commit(&[commit]).await.remove(0).unwrap(), Committed::Applied);
    let renew = Renew { place: place.clone(), fence: fence.clone(), ttl: TTL, read: id };
    broker.renew(&[renew]).await.remove(0).unwrap();
    broker.trim(stream, Partition(0)).await.unwrap();
    broker.note_stopped(group, Partition(0), None).await.unwrap();
    assert!(broker.release(&place, &fence, None).await.unwrap());
    broker.leave(group, "w1").await.unwrap();
    broker.enroll("w1", TTL, "1").await.unwrap();
    let Bidden::Leader { term, .. } = broker.bid("w1", TTL).await.unwrap() else { panic!("nobody else bids") };
    let claim = Claim { worker: "w1".into(), term, job: "tidy".into(), instant: 5, kind: ClaimKind::Open };
    assert_eq!(broker.claim(&claim).await.unwrap(), Claimed::Ours { again: false });
    assert!(broker.close(&claim).await.unwrap());
    assert!(broker.stop_job("tidy", Some(&JobStop { error: "e".into(), since: 0 })).await.unwrap());
    assert_eq!((broker.jobs().await.unwrap().len(), broker.leader().await.unwrap().is_some()), (1, true));
    assert!(broker.resign("w1", term).await.unwrap());
    runs_one(&broker, stream).await;
    broker.depart("w1").await.unwrap();
    broker.survey(stream).await.unwrap();
    consumes_letters(&broker, group).await;
}

/// Begins a run and ends it, and hears that it is over.
async fn runs_one(broker: &dyn Broker, stream: &StreamRef) {
    let run = OpenRun { run_id: "r".into(), entry: "{}".into() };
    let begin = async || broker.begin_run(stream, Partition(0), &run, &entry().fields, 9).await.unwrap();
    assert!(matches!(begin().await, Begun::Now(_)));
    assert_eq!(broker.open_runs(stream).await.unwrap().len(), 1);
    assert!(broker.end_run(stream, Partition(0), &run, &entry().fields).await.unwrap());
    assert_eq!(begin().await, Begun::Over);
}

/// Registers, owns and settles the only letter there is.
async fn consumes_letters(broker: &dyn Broker, group: &Group) {
    let group = Group { stream: group.stream.dead_letters().into(), processor: "given-up".into() };
    let place = Place { group: group.clone(), partition: Partition(0) };
    broker.register(&group).await.unwrap();
    let roll = broker.beat(&group, "w1", TTL, None).await.unwrap();
    let wish = Acquire {
        place: place.clone(),
        nonce: "m".into(),
        worker: "w1".into(),
        ttl: TTL,
        start: Start::Beginning,
        joined: roll.now,
    };
    let Acquired::Owned(owned) = broker.acquire(&wish).await.unwrap() else { panic!("it is free") };
    let source = Source::Partition(group.stream.clone(), Partition(0));
    let letter = broker.read(&source, owned.position, 9, false).await.unwrap().remove(0);
    let fence = Fence { nonce: wish.nonce, epoch: owned.epoch };
    let commit = Commit {
        place: place.clone(),
        fence: fence.clone(),
        n: 1,
        position: letter.id,
        entries_read: Some(1),
        seen: letter.id,
        front: FrontMark::Keep,
        done: vec![],
        passed: vec![],
        letters: vec![],
        letters_limit: 10,
    };
    assert_eq!(broker.commit(&[commit]).await.remove(0).unwrap(), Committed::Applied);
    broker.trim(&group.stream, Partition(0)).await.unwrap();
    assert!(broker.release(&place, &fence, None).await.unwrap());
    broker.leave(&group, "w1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_may_send_and_make_room_and_nothing_else() {
    let shop = Shop::open().await;
    make_users(&shop);
    shop.owned_by("w1", 0).await;
    let broker = connected(&url_of(&shop, "producer")).await;
    let (group, stream) = (&shop.group, &shop.group.stream);

    broker.declare(stream).await.unwrap();
    broker.append(stream, vec![entry(), entry()]).await.unwrap().ids.into_iter().for_each(|id| _ = id.unwrap());
    broker.trim(stream, Partition(0)).await.unwrap();
    broker.drop_oldest(stream, Partition(0), 1).await.unwrap();

    let read = broker.range(stream, Partition(0), EventId::ZERO, EventId::MAX, 1, false).await;
    assert!(is_forbidden(&read), "{read:?}");
    let beat = broker.beat(group, "w1", TTL, None).await;
    assert!(is_forbidden(&beat), "{beat:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_may_look_and_change_nothing() {
    let shop = Shop::open().await;
    make_users(&shop);
    shop.owned_by("w1", 0).await;
    shop.runs(&["send", "orders", "{}", "--partition", "0"]);

    for look in [&["status"][..], &["workers"], &["stream", "tail", "orders", "--no-follow"], &["processor", "list"]] {
        let ran = runs_as(&shop, "dashboard", look);
        assert_eq!(ran.code, 0, "{look:?}: {ran:?}");
    }
    for change in [&["send", "orders", "{}", "--partition", "0"][..], &["processor", "pause", "billing"]] {
        let ran = runs_as(&shop, "dashboard", change);
        assert!(ran.code != 0 && ran.err.contains("NOPERM"), "{change:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_look_and_steer() {
    let shop = Shop::open().await;
    make_users(&shop);
    shop.owned_by("w1", 0).await;

    for verb in [
        &["status"][..],
        &["processor", "pause", "billing"],
        &["processor", "resume", "billing"],
        &["processor", "skip", "billing", "--partition", "0"],
        &["processor", "reset", "billing", "--start", "0"],
        &["processor", "forget", "billing"],
    ] {
        let ran = runs_as(&shop, "operator", verb);
        assert_eq!(ran.code, 0, "{verb:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_stop_a_job_and_a_dashboard_only_sees_it() {
    let shop = Shop::open().await;
    make_users(&shop);
    let stop = JobStop { error: "e".into(), since: 0 };
    let (operator, dashboard) =
        (connected(&url_of(&shop, "operator")).await, connected(&url_of(&shop, "dashboard")).await);

    assert!(operator.stop_job("tidy", Some(&stop)).await.unwrap());

    for broker in [&operator, &dashboard] {
        assert_eq!((broker.jobs().await.unwrap().len(), broker.leader().await.unwrap()), (1, None));
    }
    assert!(is_forbidden(&dashboard.stop_job("tidy", None).await));
    assert!(is_forbidden(&operator.bid("w1", TTL).await));
    assert!(operator.stop_job("tidy", None).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_give_up_retry_and_drop() {
    let shop = Shop::open().await;
    make_users(&shop);
    let (group, stream) = (&shop.group, &shop.group.stream);
    let sender = connected(&url_of(&shop, "producer")).await;
    let appended = sender.append(stream, vec![entry(), entry()]).await.unwrap();
    shop.owned_by("w1", 0).await;
    let broker = connected(&url_of(&shop, "operator")).await;
    let place = Place { group: group.clone(), partition: Partition(0) };

    for id in appended.ids {
        let change = Intervention::DeadLetter { id: id.unwrap(), about: "{}".into(), limit: 10 };
        broker.intervene(&place, &change).await.unwrap();
    }
    let letters = stream.dead_letters().into();
    let letters = broker.range(&letters, Partition(0), EventId::ZERO, EventId::MAX, 9, false).await.unwrap();
    let back = broker.retry_letters(stream, Partition(0), &[letters[0].id]).await.unwrap();
    assert!(matches!(back[..], [Retried::Back(_)]), "{back:?}");
    assert_eq!(broker.drop_letters(stream, Partition(0), &[letters[1].id]).await.unwrap(), 1);
    let dashboard = connected(&url_of(&shop, "dashboard")).await;
    let refused = dashboard.drop_letters(stream, Partition(0), &[letters[1].id]).await;
    assert!(is_forbidden(&refused), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_user_reaches_another_app() {
    let shop = Shop::open().await;
    make_users(&shop);
    for role in ["worker", "producer", "dashboard", "operator"] {
        let mut command = shop.command(&["--app", "shop2", "stream", "list"]);
        let ran = Ran::of(command.env("RUNNEL_REDIS_URL", url_of(&shop, role)).output().unwrap());
        assert!(ran.code != 0 && ran.err.contains("NOPERM"), "{role}: {ran:?}");
    }
}

fn is_forbidden<T>(answer: &Result<T, BrokerError>) -> bool {
    matches!(answer, Err(BrokerError::Refused { code, .. }) if code == "NOPERM")
}
