//! From an address to connections that work, or to what is wrong with it.

use std::time::Duration;

use sqlx::ConnectOptions;

use super::database::{Database, Pool};
use super::failure::{failed, no_answer};
use super::settings::SqlSettings;
use crate::clock;
use crate::runs::mask;
use crate::runs::stores::StoreError;

/// A database that answered.
pub(super) struct Connected {
    pub(super) database: Database,
    /// Its address, without secrets.
    pub(super) address: String,
}

fn wrong(field: &str, reason: impl Into<String>) -> StoreError {
    StoreError::Config { field: field.to_owned(), reason: reason.into() }
}

/// An address that is none. Its own text is not shown: nobody can say where in it a secret is.
fn unreadable(field: &str, expected: &str, error: &sqlx::Error) -> StoreError {
    wrong(field, format!("`connection_string` is no address: {error}; expected {expected}"))
}

/// Connects once, so that what is wrong is told as it is: a pool would try until it is out of time, and not say why.
async fn try_out<O>(options: &O, address: &str, timeout: Duration) -> Result<(), StoreError>
where
    O: ConnectOptions<Connection: Sized>,
{
    let doing = || format!("connect to {address}");
    tokio::select! {
        connected = options.connect() => {
            let connection = connected.map_err(|error| failed(doing(), error))?;
            // It has served its purpose; a server that does not hear of its end will notice.
            let _ = sqlx::Connection::close(connection).await;
            Ok(())
        }
        () = clock::sleep(timeout) => Err(no_answer(doing(), timeout)),
    }
}

#[cfg(feature = "postgres")]
pub(super) async fn postgres(settings: &SqlSettings, field: &str) -> Result<Connected, StoreError> {
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};

    const EXPECTED: &str = "postgresql://user:password@host:5432/database";
    let text = settings.connection_string.expose();
    let address = mask::text(text);
    if !["postgresql://", "postgres://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err(wrong(field, format!("`connection_string` is no address of PostgreSQL: expected {EXPECTED}")));
    }
    let options: PgConnectOptions = text.parse().map_err(|error| unreadable(field, EXPECTED, &error))?;
    let secure = matches!(options.get_ssl_mode(), PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    if secure && !cfg!(feature = "postgres-tls") {
        let reason = "its `sslmode` asks for TLS, and this program was built without the feature `postgres-tls`";
        return Err(wrong(field, reason));
    }
    let named = options.get_application_name().is_some();
    let options = if named { options } else { options.application_name("runnel") }.disable_statement_logging();
    let timeout = settings.timeout();
    try_out(&options, &address, timeout).await?;
    let limit = format!("SET statement_timeout = {}", timeout.as_millis());
    let pool = PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(timeout)
        .after_connect(move |connection, _| {
            let limit = limit.clone();
            Box::pin(async move { sqlx::Executor::execute(connection, limit.as_str()).await.map(drop) })
        })
        .connect_lazy_with(options);
    Ok(Connected { database: Database::new(Pool::Postgres(pool), timeout), address })
}

#[cfg(feature = "sqlite")]
pub(super) async fn sqlite(settings: &SqlSettings, field: &str) -> Result<Connected, StoreError> {
    use sqlx::sqlite::SqlitePoolOptions;

    let text = settings.connection_string.expose();
    let address = mask::text(text);
    let timeout = settings.timeout();
    let place = Place::read(text).map_err(|reason| wrong(field, reason))?;
    let options = place.options().map_err(|error| unreadable(field, "sqlite:///path/to/file", &error))?;
    let options = options.busy_timeout(timeout).disable_statement_logging();
    let mut pool = SqlitePoolOptions::new().acquire_timeout(timeout);
    match place {
        // It is in its connection: a second one would see another database, and the end of the first would end it.
        Place::Memory => pool = pool.max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None),
        Place::File(_) => {
            pool = pool.max_connections(settings.max_connections);
            make_private(options.get_filename(), &address)?;
            switch_to_wal(&options, &address, timeout).await?;
        }
    }
    let pool = pool.connect_lazy_with(options);
    Ok(Connected { database: Database::new(Pool::Sqlite(pool), timeout), address })
}

/// Where a database of SQLite is.
#[cfg(feature = "sqlite")]
enum Place {
    Memory,
    /// The address of a file, or its path.
    File(String),
}

#[cfg(feature = "sqlite")]
impl Place {
    fn read(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("sqlite:").unwrap_or(text);
        let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        if path.trim_start_matches('/') == ":memory:" || parameters.split('&').any(|given| given == "mode=memory") {
            return Ok(Self::Memory);
        }
        if path.trim_start_matches('/').is_empty() || (rest == text && text.contains("://")) {
            return Err("`connection_string` is no address of SQLite: expected sqlite:///path/to/file".to_owned());
        }
        Ok(Self::File(text.to_owned()))
    }

    fn options(&self) -> Result<sqlx::sqlite::SqliteConnectOptions, sqlx::Error> {
        use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
        let options = match self {
            Self::Memory => return "sqlite::memory:".parse(),
            Self::File(address) if address.starts_with("sqlite:") => address.parse::<SqliteConnectOptions>()?,
            Self::File(path) => SqliteConnectOptions::new().filename(path),
        };
        // What was said to be there is there also after a loss of power: the stream it came from forgets it.
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        Ok(options.create_if_missing(true))
    }
}

/// Makes the file, and its folder, so that only their owner can look into them. SQLite makes the files beside it alike.
#[cfg(feature = "sqlite")]
fn make_private(file: &std::path::Path, address: &str) -> Result<(), StoreError> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let failed = |source: std::io::Error| failed(format!("make the file of {address}"), source.into());
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Makes readers and writers independent of each other, which lasts as long as the file. Whoever does it needs the file
/// for itself for a moment, and is not made to wait for that but refused: two processes that begin at once both try.
#[cfg(feature = "sqlite")]
async fn switch_to_wal(
    options: &sqlx::sqlite::SqliteConnectOptions,
    address: &str,
    timeout: Duration,
) -> Result<(), StoreError> {
    let until = clock::now() + timeout;
    loop {
        match try_out(options, address, timeout).await {
            Err(error) if error.is_transient() && clock::now() < until => {
                clock::sleep(Duration::from_millis(20)).await;
            }
            done => return done,
        }
    }
}
