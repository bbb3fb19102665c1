//! Questions to the server that are calls of scripts: asked in goes of a bounded size, answered in the order of the calls.
//!
//! What a go is, and what becomes of a script that the server does not have, is [`scripts`](super::scripts)'.

use redis::Value;

use super::Redis;
use super::reply::Unread;
use super::scripts::Call;
use crate::broker::BrokerError;

/// Scripts that are called in one go. All that is sent at once lies in memory several times, and the connection keeps
/// buffers of that size for ever; beyond some hundred calls it gets no faster.
const CALLS_AT_ONCE: usize = 256;

impl Redis {
    /// Runs a script and reads its answer.
    pub(super) async fn asked<T>(
        &self,
        doing: &'static str,
        call: Call,
        read: impl Fn(Value) -> Result<T, Unread>,
    ) -> Result<T, BrokerError> {
        let mut answers = self.asked_all(doing, [call], read).await;
        answers.pop().expect("one call has one answer")
    }

    /// Runs scripts in few goes and reads their answers.
    pub(super) async fn asked_all<T>(
        &self,
        doing: &'static str,
        calls: impl IntoIterator<Item = Call>,
        read: impl Fn(Value) -> Result<T, Unread>,
    ) -> Vec<Result<T, BrokerError>> {
        let mut calls = calls.into_iter();
        let mut read_so_far = Vec::with_capacity(calls.size_hint().0);
        let mut unanswered = None;
        loop {
            let some: Vec<Call> = calls.by_ref().take(CALLS_AT_ONCE).collect();
            if some.is_empty() {
                return read_so_far;
            }
            // Whoever asks waits for all: not for each of many goes that nobody answers.
            if let Some(error) = &unanswered {
                read_so_far.extend(some.iter().map(|_| Err(BrokerError::clone(error))));
                continue;
            }
            let answers = self.connection.run_all(doing, &some).await;
            unanswered = answers.iter().find_map(|answer| {
                let error = answer.as_ref().err()?;
                matches!(error, BrokerError::Unavailable { .. } | BrokerError::Unclear { .. }).then(|| error.clone())
            });
            let understood = |(call, answer): (&Call, Result<Value, BrokerError>)| {
                let unreadable = |why| self.connection.unexpected(doing, format!("{why} (at {})", call.subject()));
                read(answer?).map_err(unreadable)
            };
            read_so_far.extend(some.iter().zip(answers).map(understood));
        }
    }
}
