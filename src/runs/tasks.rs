//! The internal stream of runs, `__tasks`.

use crate::codec::Json;
use crate::route::Partitioner;
use crate::stream::Stream;

use super::RunEvent;

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
