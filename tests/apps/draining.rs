//! Workers that leave in good order: what they hold is handed over at once, what runs is finished.

use std::sync::{Arc, Mutex};

use runnel::clock;
use runnel::prelude::*;
use runnel::testing::TestApp;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Job {
    id: u32,
    takes: Duration,
}

#[tokio::test(start_paused = true)]
async fn what_a_draining_worker_has_released_goes_on_elsewhere_while_it_finishes_the_rest() {
    let jobs = Stream::new("jobs", |job: &Job| job.id.into()).partitions(8);
    let (started, done) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(Vec::new())));
    let mut app = App::bare("shop");
    let (long, short) = (started.clone(), done.clone());
    let handler = move |job: Job, context: Context| {
        let (long, short) = (long.clone(), short.clone());
        async move {
            if !job.takes.is_zero() {
                *long.lock().unwrap() = Some(context.worker().to_owned());
                clock::sleep_until(clock::now() + job.takes).await;
            }
            short.lock().unwrap().push(job.id);
        }
    };
    app.processor(&jobs, handler).name("doer");
    let mut shop = TestApp::start(app).await;
    shop.add_worker("worker-2").await;
    shop.advance(Duration::from_secs(5)).await;
    shop.send(&jobs, Job { id: 1000, takes: Duration::from_secs(5) }).await;
    shop.advance(Duration::from_millis(100)).await;
    let busy = started.lock().unwrap().clone().unwrap();

    shop.worker(&busy).tell_to_drain();
    shop.advance(Duration::from_secs(1)).await;
    shop.send_all(&jobs, (0..100).map(|id| Job { id, takes: Duration::ZERO })).await;
    shop.advance(Duration::from_secs(1)).await;

    let behind_the_long_one = 100 - done.lock().unwrap().len();
    assert!(behind_the_long_one < 40, "{behind_the_long_one} of 100 in eight partitions wait for one of them");
    assert!(!shop.worker(&busy).has_ended());
}
