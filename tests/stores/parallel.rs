//! Many writers of one run at once.

use std::sync::Arc;

use chrono::DateTime;
use runnel::runs::{AttemptLog, NewRunLog, Parameter, Parameters, RunLogStore, StepLog};

type Store = Arc<dyn RunLogStore>;

/// What one of many writers writes: a step, an attempt of it, and a parameter, each its own.
pub async fn write(store: &Store, run: &str, writer: &str) {
    let run = run.parse().unwrap();
    let name = format!("step-{writer}");
    store.create_step_log(&run, StepLog::new(&name)).await.unwrap();
    store.record_attempt(&run, Some(&name), AttemptLog::new(1, DateTime::UNIX_EPOCH)).await.unwrap();
    let parameters = Parameters::from_iter([(writer.to_owned(), Parameter::from(writer))]);
    store.set_parameters(&run, parameters, None).await.unwrap();
}

/// Whether everything is there that so many writers wrote.
pub async fn check(store: &Store, run: &str, writers: usize) {
    let log = store.get(&run.parse().unwrap()).await.unwrap();
    assert_eq!((log.steps.len(), log.parameters.len()), (writers, writers));
    assert!(log.steps.iter().all(|(name, step)| step.internal_name == *name && step.attempts.len() == 1));
    assert!(log.parameters.iter().all(|(name, value)| *value == Parameter::from(name.as_str())));
}

pub async fn writers_of_one_run_lose_nothing(store: Store) {
    assert!(store.supports_parallel_writes());
    store.create_run_log(NewRunLog::new("r".parse().unwrap(), "load")).await.unwrap();

    let mut writers = tokio::task::JoinSet::new();
    for n in 0..64 {
        let store = Arc::clone(&store);
        writers.spawn(async move { write(&store, "r", &n.to_string()).await });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }

    check(&store, "r", 64).await;
}

/// A step and its attempt are written in one change, with a parameter: whoever reads sees all of it or nothing.
pub async fn readers_see_whole_documents(store: Store) {
    let run = store.create_run_log(NewRunLog::new("r".parse().unwrap(), "load")).await.unwrap().run_id;
    let (writer, written) = (Arc::clone(&store), run.clone());
    let mut writers = tokio::task::JoinSet::new();
    writers.spawn(async move {
        for n in 0..40 {
            let change = &mut |log: &mut runnel::runs::RunLog| {
                log.put_step(StepLog::new(format!("s{n}")));
                log.put_attempt(None, AttemptLog::new(n + 1, DateTime::UNIX_EPOCH));
                Ok(log.set_parameters(None, Parameters::from_iter([(format!("p{n}"), Parameter::from(n))])))
            };
            writer.update(&written, change).await.unwrap();
        }
    });

    loop {
        let log = store.get(&run).await.unwrap();
        assert_eq!((log.steps.len(), log.attempts.len()), (log.parameters.len(), log.parameters.len()));
        if let Some(written) = writers.try_join_next() {
            written.unwrap();
            break;
        }
    }
    assert_eq!(store.get(&run).await.unwrap().steps.len(), 40);
}
