//! The servers that tests start: what the other tests rest on.

use crate::support::{Options, Server};

fn run_id(server: &Server) -> String {
    let info: redis::InfoDict = redis::cmd("INFO").arg("server").query(&mut server.raw()).unwrap();
    info.get("run_id").unwrap()
}

#[test]
fn a_restarted_server_is_another_one_with_the_same_data() {
    let mut server = Server::start(Options::redis().port().durable());
    let before = (run_id(&server), server.pid());
    let () = redis::cmd("SET").arg("kept").arg(1).query(&mut server.raw()).unwrap();

    server.restart();

    let over_tcp = redis::Client::open(server.tcp_url()).unwrap();
    assert_eq!(redis::cmd("GET").arg("kept").query(&mut over_tcp.get_connection().unwrap()), Ok(1));
    assert_ne!((run_id(&server), server.pid()), before);
}

#[test]
fn a_paused_server_answers_nothing_until_it_is_resumed() {
    let server = Server::redis();
    let mut connection = server.raw();
    connection.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();

    server.pause();
    let ping = redis::cmd("PING").query::<String>(&mut connection);
    server.resume();

    assert!(ping.unwrap_err().is_timeout());
    assert_eq!(redis::cmd("PING").query(&mut server.raw()), Ok("PONG".to_owned()));
}

#[test]
fn a_dropped_server_is_gone() {
    let server = Server::redis();
    let (pid, socket) = (server.pid(), server.socket());

    drop(server);

    assert!(!socket.exists());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_server_with_a_password_is_started_and_reached() {
    let server = Server::start(Options::redis().password("secret"));

    assert_eq!(redis::cmd("PING").query(&mut server.raw()), Ok("PONG".to_owned()));
}
