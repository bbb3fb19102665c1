//! The kinds of store there are here, and an empty one of each for every test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use runnel::broker::Broker;
use runnel::broker::memory::Memory;
use runnel::broker::redis::{Redis, RedisOptions};
use runnel::settings::RedisUrl;

use crate::hands::{Hands, RawServer};
use crate::support::{Options, Server};

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Redis,
    Valkey,
}

/// Says which kind of store a failed test was about.
pub(crate) struct NamedIfItFails(pub(crate) Kind);

impl Drop for NamedIfItFails {
    // What a failed test prints is read by a person.
    #[allow(clippy::print_stderr)]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it failed on {:?}", self.0);
        }
    }
}

/// One app's store, and what others can do to it behind its back.
pub(crate) struct Store {
    pub(crate) kind: Kind,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) hands: Box<dyn Hands>,
    /// Whether the server says the lag behind trimmed or deleted entries as Redis 7.0 does; later ones try harder.
    pub(crate) plain_lag: bool,
}

/// The real servers there are. Redis must be; Valkey may.
pub(crate) fn servers() -> Vec<Kind> {
    match valkey_program() {
        Some(_) => vec![Kind::Redis, Kind::Valkey],
        None => vec![Kind::Redis],
    }
}

/// All kinds there are.
pub(crate) fn kinds() -> Vec<Kind> {
    [vec![Kind::Memory], servers()].concat()
}

impl Store {
    /// An empty one. Those of one server share nothing but the server.
    pub(crate) async fn empty(kind: Kind) -> Self {
        let server = match kind {
            Kind::Memory => {
                let memory = Memory::new();
                return Self { kind, broker: Arc::new(memory.connect()), hands: Box::new(memory), plain_lag: true };
            }
            Kind::Redis => {
                static REDIS: OnceLock<Server> = OnceLock::new();
                REDIS.get_or_init(Server::redis)
            }
            Kind::Valkey => {
                static VALKEY: OnceLock<Server> = OnceLock::new();
                VALKEY.get_or_init(|| Server::start(valkey_program().expect("only asked for where it is")))
            }
        };
        static APPS: AtomicU32 = AtomicU32::new(0);
        let app = format!("app{}", APPS.fetch_add(1, Ordering::Relaxed));
        let redis = Redis::connect(&RedisUrl::new(server.url()), &app, "", RedisOptions::default()).await.unwrap();
        let version = redis.server().await.unwrap().version;
        let hands = Box::new(RawServer::new(server.raw(), app));
        Self { kind, broker: Arc::new(redis), hands, plain_lag: version < (7, 2, 0) }
    }
}

/// How a Valkey server is started here, if there is one.
fn valkey_program() -> Option<Options> {
    // Settings of the tests, not of the library.
    #[allow(clippy::disallowed_methods)]
    let (named, path) = (std::env::var("RUNNEL_TEST_VALKEY"), std::env::var("PATH"));
    if let Ok(program) = named {
        return Some(Options::valkey().program(program));
    }
    let on_path = std::env::split_paths(&path.ok()?).any(|directory| directory.join("valkey-server").is_file());
    on_path.then(Options::valkey)
}
