//! What an operator may do to a place, owned or not.

use crate::broker::letters::letter;
use crate::broker::{BrokerError, Epoch, Forgotten, Group, Intervention, Place, RETRIED, Start, Stop, StopKind};
use crate::event::{EventId, Fields};

use super::ADDRESS;
use super::history::Step;
use super::letters::refused;
use super::store::{FenceState, PartitionData, ServerTime, Store};

/// Entries that a skip counts at most.
const COUNTED: usize = 1000;

impl Store {
    /// Fences out the owner, changes the place, and answers its position afterwards.
    pub(super) fn intervene(
        &mut self,
        place: &Place,
        change: &Intervention,
        now: ServerTime,
    ) -> Result<EventId, BrokerError> {
        let letter = match change {
            Intervention::DeadLetter { id, about, limit } => Some((*id, self.given_up(place, *id, about, *limit)?)),
            _ => None,
        };
        let (data, processor) = self.place(place);
        let position = data.position(processor).unwrap_or(EventId::ZERO);
        let known = data.fences.contains_key(processor);
        // Nobody ever owned it, so there is nothing to lift and nobody to fence out.
        if !known && matches!(change, Intervention::Resume | Intervention::Skip) {
            self.note_stopped(&place.group, place.partition, None, now);
            return Ok(position);
        }
        let target = match change {
            Intervention::Reset(start) => Some(data.reset(processor, *start)),
            Intervention::Skip | Intervention::DeadLetter { .. } => data.skip(processor, position),
            Intervention::Resume | Intervention::Pause => None,
        };
        let position = target.unwrap_or(position);
        let fence = data.fences.entry(processor.to_owned()).or_default();
        fence.expel(now);
        if *change == Intervention::Pause {
            let (kind, error) = (StopKind::Paused, String::new());
            fence.stop = Some(Stop { kind, at: position, error, since: now.ms() });
        } else {
            fence.stop = None;
            fence.front = None;
        }
        let epoch = fence.epoch;
        if let Some(letter) = letter {
            self.add_letters(place, vec![letter], now);
        }
        self.note_stopped(&place.group, place.partition, None, now);
        self.history.record(|| Step::Intervened { place: place.clone(), epoch, position, at: now.ms() });
        Ok(position)
    }

    /// The letter that the event in front becomes, if it is that one and there is room.
    fn given_up(&mut self, place: &Place, id: EventId, about: &[u8], limit: u64) -> Result<Fields, BrokerError> {
        const DOING: &str = "changing a partition's position or state";
        place.group.stream.refuse_letters(ADDRESS, DOING)?;
        let no_event = |why: &str| refused(DOING, "NOEVENT", why.to_owned());
        let (data, processor) = self.place(place);
        if !data.fences.contains_key(processor) {
            return Err(no_event("no worker has ever owned the partition"));
        }
        let position = data.position(processor).unwrap_or(EventId::ZERO);
        let front = data.front(processor, position).ok_or_else(|| no_event("no event follows its position"))?;
        if front != id {
            return Err(refused(DOING, "CHANGED", format!("event {front} is in front, not {id}")));
        }
        let event = data.log.as_ref().and_then(|log| log.entries.get(&id));
        let event = event.ok_or_else(|| no_event("the event is no longer there"))?;
        let is_retried = event.last().is_some_and(|(name, _)| name == RETRIED.as_bytes());
        let letter = if is_retried { letter(about, &event.without_last()) } else { letter(about, event) };
        match self.check_letters(DOING, place, std::iter::once(&letter), limit)? {
            Ok(()) => Ok(letter),
            Err(have) => Err(refused(DOING, "LETTERSFULL", format!("there are {have} letters"))),
        }
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

    /// The event at which the place is stopped, or the next one.
    fn front(&self, processor: &str, position: EventId) -> Option<EventId> {
        let stop = self.fences.get(processor).and_then(|fence| fence.stop.as_ref());
        let marked = stop.map(|stop| stop.at).filter(|at| *at > position);
        marked.or_else(|| self.log.as_ref()?.ids_after(position).next().copied())
    }

    /// Moves past the event at which the place is stopped, or past the next one, and answers where to, if anywhere.
    fn skip(&mut self, processor: &str, position: EventId) -> Option<EventId> {
        let target = self.front(processor, position);
        let (fence, log) = (self.fences.get(processor), self.log.as_ref());
        if let Some(target) = target {
            let passed = log.map(|log| log.ids_after(position).take(COUNTED).take_while(|id| **id <= target).count());
            // Counted where that is cheap; elsewhere the next owner finds out at the end of the stream.
            let passed = passed.filter(|passed| *passed < COUNTED);
            let read =
                fence.and_then(|fence| fence.entries_read).zip(passed).map(|(read, passed)| read + passed as u64);
            self.move_place(processor, target, read);
        }
        if let Some(done) = self.done.get_mut(processor) {
            done.retain(|id| *id > target.unwrap_or(position));
        }
        target
    }

    fn move_place(&mut self, processor: &str, position: EventId, entries_read: Option<u64>) {
        let groups = &mut self.log.get_or_insert_default().groups;
        groups.entry(processor.to_owned()).or_default().move_to(position, entries_read);
        self.registered.insert(processor.to_owned());
        let fence = self.fences.entry(processor.to_owned()).or_default();
        fence.position = Some(position);
        fence.entries_read = entries_read;
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
