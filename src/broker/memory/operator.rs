//! What an operator may do to a place, owned or not.

use crate::broker::{Epoch, Forgotten, Group, Intervention, Place, Start, Stop, StopKind};
use crate::event::EventId;

use super::history::Step;
use super::log::ConsumerGroup;
use super::store::{FenceState, PartitionData, ServerTime, Store};

impl Store {
    /// Fences out the owner, changes the place, and answers its position afterwards.
    pub(super) fn intervene(&mut self, place: &Place, change: &Intervention, now: ServerTime) -> EventId {
        let (data, processor) = self.place(place);
        let known = data.fences.contains_key(processor);
        let position = data.position(processor).unwrap_or(EventId::ZERO);
        // Nobody ever owned it, so there is nothing to lift and nobody to fence out.
        if !known && matches!(change, Intervention::Resume | Intervention::Skip) {
            return position;
        }
        let fence = data.fences.entry(processor.to_owned()).or_default();
        fence.expel(now);
        let epoch = fence.epoch;
        let position = match change {
            Intervention::Reset(start) => data.reset(processor, *start),
            Intervention::Resume => {
                fence.lift();
                position
            }
            Intervention::Skip => data.skip(processor, position),
            Intervention::Pause => {
                let (kind, error) = (StopKind::Paused, String::new());
                fence.stop = Some(Stop { kind, at: position, error, since: now.ms() });
                position
            }
        };
        self.history.record(|| Step::Intervened { place: place.clone(), epoch, position, at: now.ms() });
        position
    }

    /// Unregisters a processor everywhere, unless a lease of it runs.
    pub(super) fn forget(&mut self, group: &Group, now: ServerTime) -> Forgotten {
        let processor = &*group.processor;
        let stream = self.stream_data(&group.stream.name);
        for (partition, data) in &stream.partitions {
            let fence = data.fences.get(processor);
            if let Some(fence) = fence.filter(|fence| fence.owner.is_some() && fence.until > now.ms()) {
                return Forgotten::Owned { by: fence.worker.clone(), partition: *partition };
            }
        }
        stream.rosters.remove(processor);
        let partitions = stream.partitions.values_mut().map(|data| u32::from(data.forget(processor))).sum();
        let (stream, processor) = (group.stream.name.clone(), processor.to_owned());
        self.history.record(|| Step::Forgotten { stream, processor, at: now.ms() });
        Forgotten::Gone { partitions }
    }
}

impl FenceState {
    fn expel(&mut self, now: ServerTime) {
        self.epoch = Epoch(now.micros.max(self.epoch.0 + 1));
        self.owner = None;
        self.until = 0;
        self.clean = true;
    }

    fn lift(&mut self) {
        self.stop = None;
        self.front = None;
    }
}

impl PartitionData {
    /// Our own copy of the position, or the group's where there is none.
    fn position(&self, processor: &str) -> Option<EventId> {
        let own = self.fences.get(processor).and_then(|fence| fence.position);
        own.or_else(|| Some(self.log.as_ref()?.groups.get(processor)?.position))
    }

    fn reset(&mut self, processor: &str, start: Start) -> EventId {
        let position = match start {
            Start::Beginning => EventId::ZERO,
            Start::End => self.log.as_ref().map_or(EventId::ZERO, |log| log.last),
            Start::After(id) => id,
        };
        self.done.remove(processor);
        self.move_place(processor, position, None);
        position
    }

    /// Moves past the event at which the place is stopped, or past the next one.
    fn skip(&mut self, processor: &str, position: EventId) -> EventId {
        let fence = self.fences.get(processor);
        let marked = fence.and_then(|fence| fence.stop.as_ref()).map(|stop| stop.at).filter(|at| *at > position);
        let next = || Some(self.log.as_ref()?.after(position, 1).first()?.id);
        let target = marked.or_else(next).unwrap_or(position);
        let passed = self.log.as_ref().map_or(0, |log| log.range(position, target, usize::MAX, false).len() as u64);
        let itself = u64::from(self.log.as_ref().is_some_and(|log| log.entries.contains_key(&position)));
        let read = fence.and_then(|fence| fence.entries_read).map(|read| read + passed - itself);
        if let Some(done) = self.done.get_mut(processor) {
            done.retain(|id| *id > target);
        }
        self.move_place(processor, target, read);
        target
    }

    fn move_place(&mut self, processor: &str, position: EventId, entries_read: Option<u64>) {
        let groups = &mut self.log.get_or_insert_default().groups;
        groups
            .entry(processor.to_owned())
            .or_insert_with(|| ConsumerGroup::at(position, entries_read))
            .move_to(position, entries_read);
        let fence = self.fences.entry(processor.to_owned()).or_default();
        fence.position = Some(position);
        fence.entries_read = entries_read;
        fence.lift();
    }

    /// Removes all of a processor. Answers whether it was registered.
    fn forget(&mut self, processor: &str) -> bool {
        if let Some(log) = &mut self.log {
            log.groups.remove(processor);
        }
        self.fences.remove(processor);
        self.done.remove(processor);
        self.registered.remove(processor)
    }
}
