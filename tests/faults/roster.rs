//! Who is in the roster when workers come and go.

use runnel::{App, Stream};

use crate::support::Server;

/// One that stayed behind would be given partitions that nobody works off until it counts as dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_has_drained_is_no_member_any_more() {
    let server = Server::redis();
    let orders = Stream::new("orders", |order: &u64| (*order).into());
    let mut app = App::bare("shop").redis(server.url());
    let (handled, mut any) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |order: u64| std::future::ready(handled.send(order).map_err(runnel::Error::from));
    app.processor(&orders, handler).name("printer");
    let shop = app.connect().await.unwrap();

    for round in 0..200 * crate::lab::scale() {
        let some_work = async {
            shop.stream(&orders).send_all(0..100).await.unwrap();
            any.recv().await.unwrap();
        };
        shop.work_until(some_work).await.unwrap();

        let members: Vec<String> = redis::cmd("ZRANGE")
            .arg(&["__beat:{shop.orders.printer}", "0", "-1"])
            .query(&mut server.raw())
            .expect("the roster is a sorted set");
        assert_eq!(members, Vec::<String>::new(), "after {round} workers that have drained");
    }
}
