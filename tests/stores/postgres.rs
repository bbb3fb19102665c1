//! PostgreSQL: one server for all tests of this binary, and tables of each test's own.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use runnel::runs::stores::{SqlSettings, SqlStore};
use runnel::runs::{NewRunLog, RunLogStore, StoreError, Stores, open_store};

/// A server that runs until this process ends, however it ends.
struct Server {
    folder: PathBuf,
    _lifeline: std::process::Child,
}

/// Becomes the server, and leaves a watcher behind, which ends it and removes its folder when our end of the lifeline
/// closes. The first argument is the folder.
const BECOME_THE_SERVER: &str = r#"
    folder=$1
    shift
    exec 3<&0
    (read never <&3; kill -QUIT $$; while kill -0 $$; do sleep 0.1; done; rm -rf "$folder") >/dev/null 2>&1 &
    exec "$@" 3<&- </dev/null
"#;

impl Server {
    /// The only one.
    fn get() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("runnel-").tempdir().unwrap().keep();
        let data = folder.join("data");
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        // Texts are ordered by the rules of a language, as they are on most servers: ours must not be.
        let mut make = command("initdb", &folder);
        make.args(["--no-sync", "-A", "trust", "-U", "runnel", "-E", "UTF8", "--locale", "C", "-D", &text(&data)]);
        make.args(["--locale-provider", "icu", "--icu-locale", "en-US"]);
        let made = make.output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

        let program = program("postgres");
        let mut server = command("sh", &folder);
        server.args([
            "-c",
            BECOME_THE_SERVER,
            "sh",
            &text(&folder),
            &program,
            "-D",
            &text(&data),
            "-k",
            &text(&folder),
        ]);
        for setting in ["listen_addresses=", "fsync=off", "max_connections=300", "logging_collector=off"] {
            server.args(["-c", setting]);
        }
        let mut process = server.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut before = Vec::new();
        while !before.last().is_some_and(|line: &String| line.contains("ready to accept connections")) {
            before.push(said.next().unwrap_or_else(|| panic!("PostgreSQL does not start: {}", before.join("\n"))));
        }
        // It would stand still if nobody read what it has to say.
        std::thread::spawn(move || said.for_each(drop));
        Self { folder, _lifeline: process }
    }

    fn address(&self) -> String {
        format!("postgresql://runnel@localhost/postgres?host={}", self.folder.display())
    }
}

/// The newest installed program of that name: Debian keeps them off the PATH.
fn program(name: &str) -> String {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin").join(name))).filter(|(_, program)| program.exists())
    });
    newest.max().map_or_else(|| name.to_owned(), |(_, program)| program.to_str().unwrap().to_owned())
}

/// A program as a user that PostgreSQL runs as, which is never root; the folder becomes that user's.
fn command(name: &str, folder: &Path) -> Command {
    let program = program(name);
    let mut command = Command::new(&program);
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin:/usr/local/bin");
    if rustix::process::getuid().is_root() {
        let id = |what: &str| {
            let said = Command::new("id").args([what, "postgres"]).output().unwrap();
            let id = String::from_utf8(said.stdout).unwrap();
            id.trim().parse::<u32>().unwrap_or_else(|_| panic!("{INSTALL}"))
        };
        let (user, group) = (id("-u"), id("-g"));
        chown(folder, Some(user), Some(group)).unwrap();
        command.uid(user).gid(group);
    }
    let there = name == "sh" || Command::new(&program).arg("--version").output().is_ok();
    assert!(there, "{INSTALL}");
    command
}

const INSTALL: &str = "PostgreSQL is not installed; install it: sudo apt-get install postgresql";

fn settings() -> SqlSettings {
    static TABLES: AtomicU32 = AtomicU32::new(0);
    let table = format!("of_{}_{}", std::process::id(), TABLES.fetch_add(1, Ordering::Relaxed));
    SqlSettings::new(Server::get().address()).table_name(table)
}

pub fn config() -> toml::Table {
    let settings = settings();
    toml::Table::from_iter([
        ("connection_string".to_owned(), settings.connection_string.expose().into()),
        ("table_name".to_owned(), settings.table_name.into()),
    ])
}

async fn connected(settings: SqlSettings) -> SqlStore {
    SqlStore::postgres(settings).await.unwrap()
}

async fn open() -> (Arc<SqlStore>, ()) {
    (Arc::new(connected(settings()).await.retention(crate::documents::KEPT)), ())
}

crate::all_of_documents!(open().await);
crate::all_of_lines!(open().await);
crate::all_of_sql!(open().await);
crate::suite! { open().await, parallel: writers_of_one_run_lose_nothing readers_see_whole_documents }

/// As it is configured: with its cache, batches and retention.
mod configured {
    use super::*;

    async fn open() -> Stores {
        open_store("postgres", config()).await.unwrap()
    }

    crate::all_of_documents!((open().await.run_logs, ()));
    crate::all_of_lines!((open().await.task_log, ()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_open_a_new_database_at_once_find_one_set_of_tables() {
    let settings = settings();
    crate::sql::open_at_once(|| SqlStore::postgres(settings.clone())).await;
}

#[tokio::test]
async fn long_and_reserved_names_of_tables_are_names_like_others() {
    for name in ["select".to_owned(), "Mixed_Case".to_owned(), "x".repeat(63), format!("{}y", "x".repeat(62))] {
        let store = connected(settings().table_name(name)).await;
        store.create_run_log(NewRunLog::new("r".parse().unwrap(), "t")).await.unwrap();
    }
}

#[tokio::test]
async fn addresses_are_checked_and_their_secrets_never_shown() {
    for (address, expected) in [
        ("mysql://u:canary@h/d", "no address of PostgreSQL"),
        ("postgresql://u:canary@h:port/d", "no address"),
        ("postgresql://u:canary@h/d?sslmode=nope", "no address"),
    ] {
        let refused = SqlStore::postgres(SqlSettings::new(address)).await.unwrap_err().to_string();
        assert!(refused.starts_with("run_log_store.postgres: ") && refused.contains(expected), "{refused}");
        assert!(!refused.contains("canary"), "{refused}");
    }
    if !cfg!(feature = "postgres-tls") {
        let settings = SqlSettings::new("postgresql://u:canary@h/d?sslmode=require");
        let refused = SqlStore::postgres(settings).await.unwrap_err().to_string();
        assert!(refused.contains("feature `postgres-tls`"), "{refused}");
    }
    let missing = open_store("postgres", toml::Table::new()).await.unwrap_err().to_string();
    assert_eq!(missing, "run_log_store.postgres: missing field `connection_string`");
}

#[tokio::test]
async fn a_server_that_is_away_is_a_passing_fault_and_a_database_that_is_not_there_is_not() {
    let nobody = "postgresql://u:canary@127.0.0.1:1/d";
    let away = SqlStore::postgres(SqlSettings::new(nobody)).await.unwrap_err();
    assert!(away.is_transient() && away.to_string().contains("connect to postgresql://u:***@127.0.0.1"), "{away}");
    assert!(!format!("{away:?}").contains("canary"));

    let elsewhere = Server::get().address().replace("/postgres?", "/nowhere?");
    let error = SqlStore::postgres(SqlSettings::new(elsewhere)).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn connections_that_the_server_ends_are_replaced() {
    // Told from those of other tests by the name of the program.
    let SqlSettings { table_name, .. } = settings();
    let address = format!("{}&application_name={table_name}", Server::get().address());
    let store = connected(SqlSettings::new(address).table_name(&table_name)).await;
    let id = store.create_run_log(NewRunLog::new("r".parse().unwrap(), "t")).await.unwrap().run_id;
    let database = sqlx::PgPool::connect(&Server::get().address()).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    let ended = sqlx::query(end).bind(table_name).fetch_all(&database).await.unwrap();
    assert!(!ended.is_empty());

    // Whoever asks next may be told so, but not for ever.
    crate::support::eventually("the run is read again", async || match store.get(&id).await {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_transient(), "{error:?}");
            false
        }
    })
    .await;
}

#[tokio::test]
async fn its_summary_tells_all_but_secrets() {
    let address = Server::get().address().replace("runnel@", "runnel:canary@");
    let store = connected(SqlSettings::new(address).table_name(settings().table_name)).await;

    let summary = serde_json::to_value(RunLogStore::summary(&store)).unwrap();

    assert_eq!(summary["Type"], "postgres");
    assert!(summary["Connection"].as_str().unwrap().starts_with("postgresql://runnel:***@localhost/postgres?host="));
    assert!(!format!("{store:?}").contains("canary"));
    let refused = SqlStore::postgres(settings().table_name("a;b")).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Config { reason, .. } if reason.contains("table_name")), "{refused}");
}
