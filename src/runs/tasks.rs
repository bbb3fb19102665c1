//! The internal stream of runs, `__tasks`, and what users may see of it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use crate::codec::{DecodeError, EncodeError, Json, Limits};
use crate::event::Fields;
use crate::record::Record;
use crate::route::Partitioner;
use crate::stream::{RecordCodec, Stream};

use super::{RunEvent, TaskLogEvent};

/// Every run's events, in order for each task: all questions to the task log are about one task, and a run belongs to
/// one. So each run's log has one writer, the owner of its partition.
///
/// Nothing of it can be set: all processes of an app must agree, whatever their settings say of other streams.
pub(crate) static TASKS: Stream<RunEvent> = Stream::declared(|| {
    Stream::new(TASKS_NAME, |event: &RunEvent| event.task_name().into())
        .partitions(16)
        .slot_groups(16)
        .partition_size(TASKS_SIZE)
        .partitioner(Partitioner::Xxh64)
        .codec(Json)
        .internal()
});

/// Its name: one that users cannot give.
pub(crate) const TASKS_NAME: &str = "__tasks";
/// Events that each of its partitions may hold. What is older is in the stores.
pub(crate) const TASKS_SIZE: u64 = 50_000;

/// The lines of the task log as they are written: a stream for processors of your own.
///
/// What else is written of runs (their steps, attempts, parameters) is settled unseen. Nothing can be sent to it, and a
/// processor of it is itself recorded by tenancies only, since it must not feed what it reads.
///
/// ```
/// use runnel::prelude::*;
/// use runnel::runs::{Action, TaskLogEvent};
///
/// #[runnel::processor(runnel::TASK_LOG, exception_policy = "ignore")]
/// async fn alert(line: TaskLogEvent) -> Result<()> {
///     if line.action == Action::Crash {
///         println!("a run of {} has crashed: {}", line.task_name, line.message);
///     }
///     Ok(())
/// }
/// # fn main() {}
/// ```
pub static TASK_LOG: Stream<TaskLogEvent> = Stream::declared(|| {
    let mut spec = TASKS.declaration().spec.clone();
    spec.shows = Some(may_be_a_line);
    Stream::made_of(spec, |line: &TaskLogEvent| line.task_name.as_str().into(), Some(Arc::new(Lines)))
});

/// What an event of a run says of its kind.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// Whether it is a line of the task log, or cannot be read: that is for whoever reads it to tell.
fn may_be_a_line(fields: &Fields) -> bool {
    let kind = fields.get("data").and_then(|data| serde_json::from_slice::<Kind<'_>>(data).ok());
    kind.is_none_or(|event| event.kind == "task")
}

/// Reads lines out of events of runs.
struct Lines;

impl RecordCodec<TaskLogEvent> for Lines {
    fn write(&self, _: &TaskLogEvent) -> Result<Fields, EncodeError> {
        Err(EncodeError::refused("a line of the task log", "workers write them, and nobody else does"))
    }

    fn read(&self, fields: &Fields, limits: &Limits) -> Result<TaskLogEvent, DecodeError> {
        match RunEvent::from_fields(fields, &Json, limits)? {
            RunEvent::Task(line) => Ok(line),
            _ => Err(DecodeError::refused("a line of the task log", "it is something else that is known of a run")),
        }
    }
}
