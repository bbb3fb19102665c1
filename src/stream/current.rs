//! The app that is meant where none is named.
//!
//! A `static` stream holds only its declaration. When something is sent, the app is looked for: first the one that
//! the executor, a job or a test has set around the code that runs ([`spawn`] carries it into tasks), else the one
//! that `runnel::main` has bound for the process.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, OnceLock, RwLock};

use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::broker::Broker;
use crate::codec::{AnyCodec, Limits};
use crate::error::Failure;
use crate::settings::Settings;

use super::StreamSpec;
use super::outlet::Outlet;

/// An app with its connection: what is needed to send.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Shared>);

/// The ways into streams that were opened, each once, by the identity of its declaration.
type Outlets = HashMap<Arc<str>, Arc<OnceCell<Arc<Outlet>>>>;

struct Shared {
    app: String,
    broker: Arc<dyn Broker>,
    settings: Settings,
    default_codec: AnyCodec,
    outlets: RwLock<Outlets>,
}

impl Handle {
    pub(crate) fn new(app: String, broker: Arc<dyn Broker>, settings: Settings) -> Result<Self, Failure> {
        let default_codec =
            AnyCodec::from_name(&settings.default_codec).map_err(|error| Failure::Invalid(error.to_string()))?;
        Ok(Self(Arc::new(Shared { app, broker, settings, default_codec, outlets: RwLock::default() })))
    }

    pub(crate) fn app(&self) -> &str {
        &self.0.app
    }

    pub(crate) fn broker(&self) -> &Arc<dyn Broker> {
        &self.0.broker
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn default_codec(&self) -> &AnyCodec {
        &self.0.default_codec
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits { bytes: self.0.settings.decode_limit, ..Limits::default() }
    }

    /// The way into a stream. The stream's facts are checked once for each process.
    pub(crate) async fn outlet(&self, spec: &StreamSpec) -> Result<Arc<Outlet>, Failure> {
        let cell = {
            let known = self.0.outlets.read().expect("no code panics while it holds this lock");
            known.get(&spec.identity).cloned()
        };
        let cell = cell.unwrap_or_else(|| {
            let mut known = self.0.outlets.write().expect("no code panics while it holds this lock");
            known.entry(spec.identity.clone()).or_default().clone()
        });
        cell.get_or_try_init(|| Outlet::open(spec, self.broker().clone(), self.settings())).await.cloned()
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.0.app).finish()
    }
}

tokio::task_local!(static HERE: Handle);
static PROCESS: OnceLock<Handle> = OnceLock::new();

/// The app that is meant here.
pub(crate) fn handle() -> Option<Handle> {
    HERE.try_with(Clone::clone).ok().or_else(|| PROCESS.get().cloned())
}

/// Makes this the app of the process; the first one stays.
pub(crate) fn bind_process(handle: Handle) {
    let _ = PROCESS.set(handle);
}

/// Runs a future with this app as the one that is meant.
pub(crate) fn within<F: Future>(handle: Handle, future: F) -> impl Future<Output = F::Output> {
    HERE.scope(handle, future)
}

/// Starts a task of your own that means the same app as the code that starts it, in the same span: what it logs belongs to
/// the same run.
///
/// It is a plain tokio task otherwise: nobody waits for it when the worker drains.
#[allow(clippy::disallowed_methods)] // The one way for users to start a task; runnel's own tasks end with their owner.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let future = future.in_current_span();
    match handle() {
        Some(handle) => tokio::spawn(within(handle, future)),
        None => tokio::spawn(future),
    }
}
