//! Which store is taken, what is said of it, and that a private server ends with its owner.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::auto::{Surroundings, choose};
use super::*;

/// Opens what answers INFO at the address, with the real client; memory is a word.
struct Plain;

fn unavailable(url: &RedisUrl, source: impl std::error::Error + Send + Sync + 'static) -> BrokerError {
    BrokerError::Unavailable { address: url.to_string(), source: Arc::new(source) }
}

fn facts(version: (u32, u32, u32)) -> ServerFacts {
    ServerFacts {
        product: "redis".into(),
        version,
        now: 0,
        run_id: String::new(),
        is_primary: true,
        eviction: "noeviction".into(),
        persistence: "nothing".into(),
        replicas: 0,
    }
}

#[async_trait]
impl Doors for Plain {
    type Store = String;

    async fn redis(&self, url: &RedisUrl) -> Result<(String, ServerFacts), BrokerError> {
        let client = redis::Client::open(url.expose()).map_err(|error| unavailable(url, error))?;
        let mut connection =
            client.get_multiplexed_async_connection().await.map_err(|error| unavailable(url, error))?;
        let info: String =
            redis::cmd("INFO").query_async(&mut connection).await.map_err(|error| unavailable(url, error))?;
        let line = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        let version: Vec<u32> = line("redis_version:").split('.').filter_map(|n| n.parse().ok()).collect();
        let found = ServerFacts { eviction: line("maxmemory_policy:"), ..facts((version[0], version[1], version[2])) };
        Ok((url.expose().to_owned(), found))
    }

    async fn memory(&self) -> Result<(String, ServerFacts), BrokerError> {
        Ok(("memory".into(), facts((7, 0, 0))))
    }
}

/// Answers one thing, whatever is asked for.
struct Answers(Result<ServerFacts, BrokerError>);

#[async_trait]
impl Doors for Answers {
    type Store = &'static str;

    async fn redis(&self, _: &RedisUrl) -> Result<(&'static str, ServerFacts), BrokerError> {
        self.0.clone().map(|facts| ("redis", facts))
    }

    async fn memory(&self) -> Result<(&'static str, ServerFacts), BrokerError> {
        Ok(("memory", facts((7, 0, 0))))
    }
}

fn wanted(url: &str) -> Wanted {
    Wanted {
        url: RedisUrl::new(url),
        origin: "RUNNEL_REDIS_URL".into(),
        allow_eviction: false,
        durability: Durability::Acked,
    }
}

fn nowhere(path: &str) -> Surroundings {
    // Port 1 is nobody's.
    Surroundings { loopback: RedisUrl::new("redis://127.0.0.1:1"), path: path.into() }
}

fn installed() -> Surroundings {
    nowhere("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/opt/homebrew/bin")
}

async fn refusal(answer: Result<ServerFacts, BrokerError>, wanted: Wanted) -> String {
    connect(&Answers(answer), &wanted).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_scheme_of_another_build_names_its_feature() {
    for (url, feature) in [("rediss://h", "tls"), ("redis+sentinel://h", "sentinel"), ("redis+cluster://h", "cluster")]
    {
        let refused = refusal(Ok(facts((7, 0, 0))), wanted(url)).await;
        assert!(refused.contains(&format!("cargo feature `{feature}`")), "{refused}");
    }
}

#[tokio::test]
async fn an_unknown_scheme_is_answered_with_the_known_ones() {
    let refused = refusal(Ok(facts((7, 0, 0))), wanted("reddis://:canary@h")).await;

    assert!(refused.contains("redis://, rediss://, unix://") && refused.contains("did you mean `redis`?"), "{refused}");
    assert!(!refused.contains("canary"));
}

#[tokio::test]
async fn a_refused_connection_says_where_on_whose_word_and_what_to_do() {
    let cause = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let refused = refusal(Err(unavailable(&RedisUrl::new("redis://h:1"), cause)), wanted("redis://:canary@h:1")).await;

    for part in ["redis://:***@h:1", "RUNNEL_REDIS_URL", "connection refused", "apt install redis-server", "`--dev`"] {
        assert!(refused.contains(part), "{part}\nin\n{refused}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_apart_from_a_missing_permission() {
    let error = |code: &str| BrokerError::Refused {
        address: "h".into(),
        doing: "signing in",
        code: code.into(),
        message: "no".into(),
    };
    assert!(
        refusal(Err(error("WRONGPASS")), wanted("redis://h")).await.contains("does not accept this user and password")
    );
    assert!(refusal(Err(error("NOPERM")), wanted("redis://h")).await.contains("the command `acl` prints the rules"));
}

#[tokio::test]
async fn servers_that_must_not_be_used_are_refused_by_name() {
    let old = refusal(Ok(facts((6, 2, 14))), wanted("redis://h")).await;
    let replica = refusal(Ok(ServerFacts { is_primary: false, ..facts((7, 2, 0)) }), wanted("redis://h")).await;
    let evicting = || ServerFacts { eviction: "allkeys-lru".into(), ..facts((7, 2, 0)) };

    assert!(old.contains("redis 6.2.14") && old.contains("too old"), "{old}");
    assert!(replica.contains("read-only replica"), "{replica}");
    assert!(refusal(Ok(evicting()), wanted("redis://h")).await.contains("maxmemory-policy allkeys-lru"));
    let allowed = Wanted { allow_eviction: true, ..wanted("redis://h") };
    assert_eq!(connect(&Answers(Ok(evicting())), &allowed).await.unwrap().store, "redis");
}

#[tokio::test]
async fn a_server_that_cannot_tell_what_is_on_disk_is_refused_where_that_is_asked_for() {
    let fsynced = || Wanted { durability: Durability::Fsynced, ..wanted("redis://h") };
    let keeping = |version| ServerFacts { persistence: "appendonly everysec".into(), ..facts(version) };

    let old = refusal(Ok(keeping((7, 0, 15))), fsynced()).await;
    let forgetful = refusal(Ok(facts((7, 2, 0))), fsynced()).await;

    assert!(old.contains("redis 7.0.15") && old.contains("`durability` = fsynced") && old.contains("7.2"), "{old}");
    assert!(forgetful.contains("`durability` = fsynced") && forgetful.contains("appendonly yes"), "{forgetful}");
    assert_eq!(connect(&Answers(Ok(keeping((7, 2, 0)))), &fsynced()).await.unwrap().store, "redis");
    assert_eq!(connect(&Answers(Ok(facts((7, 0, 15)))), &wanted("redis://h")).await.unwrap().store, "redis");
}

#[tokio::test]
async fn auto_takes_a_running_redis_that_can_be_used() {
    let connected = choose(&Answers(Ok(facts((7, 0, 0)))), &nowhere(""), &wanted("auto://")).await.unwrap();

    assert_eq!((connected.store, connected.url.expose()), ("redis", "redis://127.0.0.1:1"));
    assert!(connected.private.is_none() && connected.banner.unwrap().contains("stays when this program ends"));
}

#[tokio::test]
async fn auto_passes_over_what_cannot_be_used_and_says_why() {
    let password =
        BrokerError::Refused { address: "h".into(), doing: "x", code: "NOAUTH".into(), message: String::new() };
    for (answer, why) in [
        (Err(password), "needs a password"),
        (Ok(facts((6, 0, 0))), "is redis 6.0.0, older than 7.0"),
        (Ok(ServerFacts { is_primary: false, ..facts((7, 0, 0)) }), "is a replica"),
        (Ok(ServerFacts { eviction: "allkeys-random".into(), ..facts((7, 0, 0)) }), "may evict events"),
    ] {
        let connected = choose(&Answers(answer), &nowhere(""), &wanted("auto://")).await.unwrap();
        let banner = connected.banner.unwrap();
        assert_eq!(connected.store, "memory");
        assert!(
            banner.contains(why) && banner.contains("neither valkey-server nor redis-server is in PATH"),
            "{banner}"
        );
    }
}

#[tokio::test]
async fn something_that_never_answers_is_passed_over() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let loopback = RedisUrl::new(format!("redis://{}", silent.local_addr().unwrap()));
    let connected = choose(&Plain, &Surroundings { loopback, path: "".into() }, &wanted("auto://")).await.unwrap();

    assert_eq!(connected.store, "memory");
}

#[tokio::test]
async fn a_private_server_ends_with_its_value() {
    let connected = choose(&Plain, &installed(), &wanted("auto://")).await.unwrap();
    let url = connected.url.clone();
    let directory = directory_of(&url);
    assert!(connected.banner.unwrap().contains("using a private"), "redis-server must be installed");
    assert!(Plain.redis(&url).await.is_ok());

    drop(connected.private);

    assert!(!directory.exists());
    assert!(Plain.redis(&url).await.is_err());
}

fn directory_of(url: &RedisUrl) -> PathBuf {
    Path::new(url.expose().strip_prefix("unix://").unwrap()).parent().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_that_ends_at_once_is_passed_over_with_its_last_words() {
    use std::os::unix::fs::PermissionsExt;
    let bin = tempfile::tempdir().unwrap();
    let program = bin.path().join("redis-server");
    std::fs::write(&program, "#!/bin/sh\necho 'cannot bind'\nexit 1\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();

    let connected = choose(&Plain, &nowhere(bin.path().to_str().unwrap()), &wanted("auto://")).await.unwrap();

    let banner = connected.banner.unwrap();
    assert!(connected.store == "memory" && banner.contains("ended at once: cannot bind"), "{banner}");
}

/// The variable that turns this test binary into the owner of a private server: it tells where to write its address.
const OWNER: &str = "RUNNEL_TEST_PRIVATE_SERVER_OWNER";

#[test]
fn a_private_server_ends_with_an_owner_that_is_killed() {
    if let Some(file) = crate::settings::variable(OWNER) {
        return own_a_server_until_killed(Path::new(&file));
    }
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("address");
    let test = "broker::connect::tests::a_private_server_ends_with_an_owner_that_is_killed";
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(OWNER, &file)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let url = RedisUrl::new(eventually(|| std::fs::read_to_string(&file).ok().filter(|text| !text.is_empty())));
    let socket = directory_of(&url).join("socket");
    assert!(std::os::unix::net::UnixStream::connect(&socket).is_ok());

    owner.kill().unwrap();
    owner.wait().unwrap();

    eventually(|| (!directory_of(&url).exists()).then_some(()));
    assert!(std::os::unix::net::UnixStream::connect(&socket).is_err());
}

fn own_a_server_until_killed(file: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let program = private::programs(&installed().path).remove(0);
        let server = PrivateServer::start(&program).await.unwrap();
        let unfinished = file.with_extension("unfinished");
        std::fs::write(&unfinished, server.url().expose()).unwrap();
        std::fs::rename(unfinished, file).unwrap();
        std::future::pending::<()>().await;
    });
}

/// Waits until it is so.
fn eventually<T>(mut fact: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_000 {
        if let Some(known) = fact() {
            return known;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it did not come true within ten seconds");
}
