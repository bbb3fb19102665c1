//! Where a worker is asked over HTTP: opened before anything starts, closed when everything else has ended.

#[cfg(feature = "http")]
pub(super) use with::Face;
#[cfg(not(feature = "http"))]
pub(super) use without::Face;

#[cfg(feature = "http")]
mod with {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use crate::app::App;
    use crate::clock;
    use crate::error::Failure;
    use crate::http::listen::Listening;
    use crate::http::{Answering, Api, Retry};
    use crate::runner::Stage;
    use crate::settings::Settings;
    use crate::stream::current::Handle;
    use crate::tasks::{Gate, Tasks};
    use crate::worker::GOODBYE;
    use crate::worker::retries::{Desk, Retries};

    /// Where a worker is asked, if it can be.
    pub(in crate::worker) struct Face {
        listening: Option<Listening>,
        url: Option<String>,
        retries: Option<Retries>,
        closing: CancellationToken,
        serving: Tasks,
    }

    impl Face {
        /// Takes its address. Nobody is answered yet.
        pub(in crate::worker) async fn open(settings: &Settings, gate: &Gate) -> Result<Self, Failure> {
            let listening = Listening::open(settings).await?;
            let url = listening.as_ref().map(|listening| listening.url().to_owned());
            let (closing, serving) = (CancellationToken::new(), Tasks::behind(gate));
            Ok(Self { listening, url, retries: None, closing, serving })
        }

        /// Where others find it.
        pub(in crate::worker) fn url(&self) -> Option<&str> {
            self.url.as_deref()
        }

        /// What must be run beside it, so that runs can be retried on that stage; none if nobody can ask.
        pub(in crate::worker) fn retries(
            &mut self,
            app: &App,
            stage: Stage,
            gate: &Gate,
        ) -> Option<impl Future<Output = ()> + Send + 'static> {
            self.listening.as_ref()?;
            let (desk, retries) = Desk::new(app.clone(), stage, gate.clone());
            self.retries = Some(retries);
            Some(desk.run())
        }

        /// Begins to answer.
        pub(in crate::worker) async fn show(
            &mut self,
            app: &App,
            handle: Handle,
            worker: Arc<str>,
        ) -> Result<(), Failure> {
            let Some(listening) = self.listening.take() else { return Ok(()) };
            tracing::info!(url = listening.url(), "answering HTTP");
            let retry = self.retries.take().map(|retries| Arc::new(retries) as Arc<dyn Retry>);
            let answering = Answering { worker: Some(worker), retry, closing: self.closing.clone() };
            let api = Api::of(app, handle, answering).await?;
            self.serving.start(listening.serve(api.router(), self.closing.clone()));
            Ok(())
        }

        /// Says its last words to whoever listens: how the last runs ended.
        pub(in crate::worker) async fn close(mut self) {
            self.closing.cancel();
            // Safe to drop: who is cut off asks again, another worker.
            tokio::select! {
                _ = self.serving.next() => {}
                () = clock::sleep(GOODBYE) => {}
            }
        }
    }
}

#[cfg(not(feature = "http"))]
mod without {
    use std::sync::Arc;

    use crate::app::App;
    use crate::error::Failure;
    use crate::runner::Stage;
    use crate::settings::Settings;
    use crate::stream::current::Handle;
    use crate::tasks::Gate;

    /// Without the feature `http` nobody is asked. The settings refuse an address then.
    pub(in crate::worker) struct Face;

    impl Face {
        pub(in crate::worker) async fn open(_: &Settings, _: &Gate) -> Result<Self, Failure> {
            Ok(Self)
        }

        pub(in crate::worker) fn url(&self) -> Option<&str> {
            None
        }

        pub(in crate::worker) fn retries(&mut self, _: &App, _: Stage, _: &Gate) -> Option<std::future::Ready<()>> {
            None
        }

        pub(in crate::worker) async fn show(&mut self, _: &App, _: Handle, _: Arc<str>) -> Result<(), Failure> {
            Ok(())
        }

        pub(in crate::worker) async fn close(self) {}
    }
}
