//! Branches: a step that does several things at once, each with steps of its own.

use std::fmt::Display;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::step::{StepFailed, guarded};
use super::{ANSWER, Parameter, Work};
use crate::error::{Error, chain};
use crate::runs::{BranchLog, RunContext, RunFacts, Status, StepLog};

/// A branch has failed; why, is its source.
#[derive(Debug, thiserror::Error)]
#[error("branch `{branch}` failed")]
struct BranchFailed {
    branch: String,
    source: Error,
}

/// What a branch has answered, and what is kept of that.
type Answer<T> = Result<(T, Option<Value>), Error>;

impl RunContext {
    /// Does something once for each of `branches`, all at once, and answers what they answered in their order.
    ///
    /// Each branch has a context of its own, whose steps are its own: `regions.eu.load`. A branch that was done is not done
    /// again by a later attempt, nor is a step in it; what is said of the answers of [`step`](Self::step) holds here too. All
    /// branches come to their end; if some failed, the first one's error is the whole's.
    ///
    /// Branches share this task: they wait at once, and compute in turn. If the run log store does not support parallel
    /// writes, they are done one after the other, with a warning.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # async fn upload(region: &str) -> Result<u64> { Ok(7) }
    /// # async fn example(run: RunContext) -> Result<()> {
    /// let rows: Vec<u64> = run.parallel("regions", ["eu", "us"], async |branch, region| {
    ///     branch.step("load", upload(region)).await
    /// }).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The error of the first branch that failed, as that of step `name`.
    pub async fn parallel<B, T, E, F, Fut>(
        &self,
        name: &str,
        branches: impl IntoIterator<Item = B>,
        each: F,
    ) -> Result<Vec<T>, Error>
    where
        B: Display,
        T: Serialize + DeserializeOwned + Send,
        E: Into<Error>,
        F: Fn(Self, B) -> Fut,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        let branches: Vec<B> = branches.into_iter().collect();
        let Some(work) = self.work().filter(|work| work.takes_step()) else {
            let all = branches.into_iter().map(|branch| guarded(each(self.clone(), branch)));
            let answers = futures::future::join_all(all).await;
            return answers.into_iter().collect::<Result<_, _>>().map_err(|error| StepFailed::new(name, error).into());
        };
        let internal = work.internal_name(self, name);
        let mut log = StepLog::new(internal.clone());
        let mut names = Vec::new();
        for branch in &branches {
            let branch = unused(format!("{internal}.{branch}"), &names);
            log.branches.insert(branch.clone(), BranchLog { status: Status::Processing, ..BranchLog::new(&*branch) });
            names.push(branch);
        }
        let log = work.begin_step(self, log, name, "parallel").await;
        let doing = branches.into_iter().zip(&names).enumerate().map(|(at, (branch, name))| {
            // Made now: `each` is borrowed by none of them.
            let within = Self(Arc::new(RunFacts { branch: Some(name.as_str().into()), ..(*self.0).clone() }));
            let doing = each(within, branch);
            async move { (at, work.do_branch(name, doing).await) }
        });
        let mut done: Vec<Option<Answer<T>>> = Vec::new();
        done.resize_with(names.len(), || None);
        if work.facts.parallel {
            let mut doing: FuturesUnordered<_> = doing.collect();
            while let Some((at, answer)) = doing.next().await {
                done[at] = Some(answer);
            }
        } else {
            tracing::warn!(
                step = name,
                "the run log store does not support parallel writes: the branches of this step are done one after the other"
            );
            for branch in doing {
                let (at, answer) = branch.await;
                done[at] = Some(answer);
            }
        }
        self.joined(work, name, log, done.into_iter().flatten().zip(names).collect()).await
    }

    /// All branches have come to their end.
    async fn joined<T>(
        &self,
        work: &Work,
        step: &str,
        mut log: StepLog,
        done: Vec<(Answer<T>, String)>,
    ) -> Result<Vec<T>, Error> {
        let (mut answers, mut failed) = (Vec::new(), None);
        for (answer, branch) in done {
            let known = log.branches.entry(branch.clone()).or_insert_with(|| BranchLog::new(&*branch));
            match answer {
                Ok((answer, kept)) => {
                    known.status = Status::Success;
                    known.parameters.extend(kept.map(|kept| (ANSWER.to_owned(), Parameter::Json(kept))));
                    answers.push(answer);
                }
                Err(source) => {
                    known.status = Status::Fail;
                    tracing::debug!(%branch, error = %chain(&*source), "a branch failed");
                    failed.get_or_insert(BranchFailed { branch, source });
                }
            }
        }
        let failed = failed.map(Error::from);
        work.end_step(self, log, None, failed.as_ref()).await;
        failed.map_or(Ok(answers), |error| Err(StepFailed::new(step, error).into()))
    }
}

impl Work {
    async fn do_branch<T, E>(
        &self,
        branch: &str,
        doing: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<(T, Option<Value>), Error>
    where
        T: Serialize + DeserializeOwned + Send,
        E: Into<Error>,
    {
        if let Some(answer) = self.done_before::<T>(branch) {
            let kept = self.keep_answer(branch, &answer);
            return Ok((answer, kept));
        }
        let answer = guarded(doing).await?;
        let kept = self.keep_answer(branch, &answer);
        Ok((answer, kept))
    }
}

/// The name, with a number if another branch has it already.
fn unused(name: String, used: &[String]) -> String {
    let numbered = (2u32..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !used.contains(name)).unwrap_or(name)
}
