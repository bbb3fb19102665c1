//! What ran: the records of runs, and what is made of them.
//!
//! Every run of a task, timer, crontab, job or tenancy of a partition leaves events in the app's internal stream
//! `__tasks`. Everything else here is a reader or a projection of that stream, or holds the bytes that a run printed,
//! addressed by the same [`RunId`].

mod context;
mod ended;
mod event;
mod id;
mod log;
mod mask;
pub mod output;
mod projection;
pub(crate) mod recorder;
mod status;
mod tasks;

pub use context::RunContext;
pub(crate) use context::RunFacts;
pub use ended::{Cut, Ended};
pub use event::{EventHead, RunEvent, TaskLogEvent};
pub use id::{InvalidRunId, RunId};
pub use log::{
    Applied, AttemptLog, BranchLog, CodeIdentity, JobLog, NewRunLog, Parameter, Parameters, RunLog, SecretString,
    StepLog, StepTrace, WorkerRef,
};
pub use projection::{
    LogRecord, MinimalRecord, MinimalRunRecord, RecordModel, RunRecord, TaskLogRecord, TaskRunRecord,
};
pub use status::{Action, Level, Status, TaskKind, UnknownWord};
