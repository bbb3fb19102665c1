//! What ran: the records of runs, and what is made of them.
//!
//! Every run of a task, timer, crontab, job or tenancy of a partition leaves events in the app's internal stream
//! `__tasks`. Everything else here is a reader or a projection of that stream, or holds the bytes that a run printed,
//! addressed by the same [`RunId`].

mod context;
mod ended;
mod event;
mod id;
pub(crate) mod ids;
mod inaction;
mod log;
pub(crate) mod mask;
pub mod output;
mod projection;
pub mod query;
pub(crate) mod recorder;
mod status;
pub mod stores;
mod task_log;
mod tasks;
mod work;

pub use context::RunContext;
pub(crate) use context::RunFacts;
pub use ended::{Cut, Ended};
pub use event::{EventHead, RunEvent, TaskLogEvent};
pub use id::{InvalidRunId, RunId};
pub use inaction::{Inaction, inaction};
pub(crate) use log::exposing;
pub use log::{
    Applied, AttemptLog, BranchLog, CodeIdentity, JobLog, NewRunLog, Parameter, Parameters, RunLog, SecretString,
    StepLog, StepTrace, WorkerRef,
};
pub use projection::{
    LogRecord, MinimalRecord, MinimalRunRecord, RecordModel, RunRecord, TaskLogRecord, TaskRunRecord,
};
pub use query::{Filter, FilterError, Order, Page, RunLogQuery, TaskLogQuery};
pub use status::{Action, Level, Status, TaskKind, UnknownWord};
pub use stores::{
    MemoryStore, PurgeReport, RunLogStore, StoreError, StoreRegistry, StoreSummary, Stores, TaskLogRepo, open_store,
};
pub use task_log::{TaskLog, TaskLogRows, TaskState};
pub use tasks::TASK_LOG;
pub(crate) use tasks::TASKS;
pub use work::{Counter, Progress, RunObserver, StepFailed, Tally};
pub(crate) use work::{Done, Input, Observers, Work, WorkFacts, done_in, input_parameter};
