//! The fleet: what may be asked again, and what a rollback takes back.

use super::*;
use crate::broker::{Bidden, Claim, ClaimKind, Claimed, Term};

fn instant(worker: &str, term: Term, instant: u64, kind: ClaimKind) -> Claim {
    Claim { worker: worker.into(), term, job: "tidy".into(), instant, kind }
}

#[tokio::test(start_paused = true)]
async fn what_the_fleet_asks_may_be_asked_again_when_its_answer_was_lost() {
    let memory = Memory::new();
    let broker = memory.connect();
    let lost = |operation| broker.next_fault(operation, Fault::LostReply);

    lost(Operation::Enroll);
    assert!(broker.enroll("ann", TTL, "1").await.is_err());
    assert_eq!(broker.enroll("ann", TTL, "1").await.unwrap().number, 1);

    lost(Operation::Bid);
    assert!(broker.bid("ann", TTL).await.is_err());
    assert!(matches!(broker.bid("ann", TTL).await.unwrap(), Bidden::Leader { term: Term(1), .. }));

    for (at, kind) in [(4, ClaimKind::Base), (5, ClaimKind::Once), (6, ClaimKind::Open)] {
        let claim = instant("ann", Term(1), at, kind);
        lost(Operation::Claim);
        assert!(broker.claim(&claim).await.is_err());
        assert_eq!(broker.claim(&claim).await.unwrap(), Claimed::Ours { again: false }, "{kind:?}");
    }

    lost(Operation::Close);
    assert!(broker.close(&instant("ann", Term(1), 6, ClaimKind::Open)).await.is_err());
    assert!(broker.jobs().await.unwrap()[0].open.is_empty());

    lost(Operation::Resign);
    assert!(broker.resign("ann", Term(1)).await.is_err());
    assert!(!broker.resign("ann", Term(1)).await.unwrap());
    assert_eq!(broker.leader().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_arrives_after_its_term_gets_nothing() {
    let memory = Memory::new();
    let (ann, bob) = (memory.connect(), memory.connect());
    ann.bid("ann", TTL).await.unwrap();
    ann.next_fault(Operation::Claim, Fault::Late(2 * TTL));
    assert!(ann.claim(&instant("ann", Term(1), 5, ClaimKind::Open)).await.is_err());

    crate::clock::sleep(2 * TTL).await;
    bob.bid("bob", TTL).await.unwrap();

    let claim = instant("bob", Term(2), 5, ClaimKind::Open);
    assert_eq!(bob.claim(&claim).await.unwrap(), Claimed::Ours { again: false });
}

#[tokio::test(start_paused = true)]
async fn a_history_tells_who_led_and_what_was_claimed() {
    let memory = Memory::new();
    memory.record_history(true);
    let broker = memory.connect();
    let claim = instant("ann", Term(1), 5, ClaimKind::Open);

    broker.enroll("ann", TTL, "1").await.unwrap();
    for _ in 0..2 {
        broker.bid("ann", TTL).await.unwrap();
    }
    broker.claim(&claim).await.unwrap();
    broker.claim(&instant("bob", Term(1), 6, ClaimKind::Once)).await.unwrap();
    broker.stop_job("tidy", None).await.unwrap();
    for _ in 0..2 {
        broker.close(&claim).await.unwrap();
        broker.resign("ann", Term(1)).await.unwrap();
    }

    let (at, term, job) = (broker.server().await.unwrap().now, Term(1), "tidy".to_owned());
    let claimed = |worker: &str, instant, kind, answer| {
        let (worker, job) = (worker.to_owned(), job.clone());
        Step::Claimed { job, instant, term, worker, kind, answer, at }
    };
    let expected = [
        Step::Enrolled { worker: "ann".into(), generation: 1, begun: true, at },
        Step::Led { worker: "ann".into(), term, at },
        claimed("ann", 5, ClaimKind::Open, Claimed::Ours { again: false }),
        claimed("bob", 6, ClaimKind::Once, Claimed::Deposed),
        Step::Closed { job: job.clone(), instant: 5, term, at },
        Step::Resigned { worker: "ann".into(), term, at },
    ];
    assert_eq!(memory.history(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_takes_the_lead_and_the_claims_back() {
    let memory = Memory::new();
    let broker = memory.connect();
    let before = memory.checkpoint();
    broker.bid("ann", TTL).await.unwrap();
    broker.claim(&instant("ann", Term(1), 5, ClaimKind::Once)).await.unwrap();

    memory.roll_back(&before);

    assert_eq!((broker.leader().await.unwrap(), broker.jobs().await.unwrap()), (None, vec![]));
}
