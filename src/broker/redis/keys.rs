//! The name of every key, and nothing else: what one place needs shares one cluster slot.
//!
//! In the layout of ours the slot is that of a *slot group* of the stream's partitions, so that one read may span
//! them; in the layout of runnel for Python it is that of the partition's own stream key. Dead letters lie beside the
//! events they were, and what belongs to their consumers beside them.

use crate::broker::{DEAD, Group, KeyLayout, Place, StreamFacts};
use crate::event::Partition;

/// Names the keys of one app under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    app: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, app: &str) -> Self {
        Self { prefix: prefix.to_owned(), app: app.to_owned() }
    }

    // --- of one partition, in one slot -----------------------------------------------------------------------------

    /// The stream that holds the events, or the letters.
    pub(super) fn partition(&self, stream: &StreamFacts, partition: Partition) -> String {
        let Self { prefix, app } = self;
        match stream.keys {
            _ if stream.letters_of().is_some() => self.letters(stream, partition),
            KeyLayout::Runnel => self.of_partition("strm", stream, partition),
            KeyLayout::Python => format!("{prefix}__strm:{app}.{}.{partition}", stream.name),
        }
    }

    /// The stream that holds the dead letters of a stream, whether that or they are named.
    pub(super) fn letters(&self, stream: &StreamFacts, partition: Partition) -> String {
        self.of_partition("dead", stream, partition)
    }

    /// Who may settle, and how far it is.
    pub(super) fn fence(&self, place: &Place) -> String {
        self.of_place("own", place)
    }

    /// Ids settled above the position.
    pub(super) fn done(&self, place: &Place) -> String {
        self.of_place("done", place)
    }

    /// The processors that retention waits for.
    pub(super) fn groups(&self, stream: &StreamFacts, partition: Partition) -> String {
        self.of_source("grps", stream, partition)
    }

    /// The runs of the task log's partition that have begun and not ended.
    pub(super) fn open(&self, stream: &StreamFacts, partition: Partition) -> String {
        self.of_partition("open", stream, partition)
    }

    /// Those that have ended of late: they do not begin again.
    pub(super) fn over(&self, stream: &StreamFacts, partition: Partition) -> String {
        self.of_partition("over", stream, partition)
    }

    // --- of one processor's roster, in one slot --------------------------------------------------------------------

    /// The plan, its generation, and what members and stopped places say.
    pub(super) fn members(&self, group: &Group) -> String {
        self.of_group("memb", group)
    }

    /// When each member counts as dead.
    pub(super) fn beats(&self, group: &Group) -> String {
        self.of_group("beat", group)
    }

    /// Rung at each change of the plan.
    pub(super) fn bell(&self, group: &Group) -> String {
        self.of_group("ctrl", group)
    }

    // --- of the app ------------------------------------------------------------------------------------------------

    /// What all processes must agree on about a stream.
    pub(super) fn facts(&self, stream: &str) -> String {
        format!("{}__meta:{}.{stream}", self.prefix, self.app)
    }

    /// The names of the app's streams.
    pub(super) fn streams(&self) -> String {
        format!("{}__list:{{{}}}", self.prefix, self.app)
    }

    /// When each worker counts as dead.
    pub(super) fn live(&self) -> String {
        format!("{}__live:{{{}}}", self.prefix, self.app)
    }

    /// Who leads the fleet, and its generation.
    pub(super) fn lead(&self) -> String {
        format!("{}__lead:{{{}}}", self.prefix, self.app)
    }

    /// Which instants of the fleet's jobs are taken.
    pub(super) fn cron(&self) -> String {
        format!("{}__cron:{{{}}}", self.prefix, self.app)
    }

    /// What a worker says of itself.
    pub(super) fn worker(&self, name: &str) -> String {
        format!("{}__work:{}.{name}", self.prefix, self.app)
    }

    // --- of the app's runs, in one slot ----------------------------------------------------------------------------

    /// The document of a run, in parts.
    pub(super) fn document(&self, id: &str) -> String {
        format!("{}__rlog:{{{}}}.{id}", self.prefix, self.app)
    }

    /// The names of the indexes that find documents.
    pub(super) fn indexes(&self) -> String {
        format!("{}__ridx:{{{}}}", self.prefix, self.app)
    }

    /// An index: ids of documents by their place.
    pub(super) fn index(&self, name: &str) -> String {
        format!("{}__ridx:{{{}}}.{name}", self.prefix, self.app)
    }

    /// The names of the topics that have lines.
    pub(super) fn topics(&self) -> String {
        format!("{}__rtask:{{{}}}", self.prefix, self.app)
    }

    /// The lines of a topic.
    pub(super) fn lines(&self, topic: &str) -> String {
        format!("{}__rtask:{{{}}}.{topic}", self.prefix, self.app)
    }

    /// How many lines were ever added.
    pub(super) fn lines_added(&self) -> String {
        format!("{}__rtid:{{{}}}", self.prefix, self.app)
    }

    /// The ids of the lines of a topic.
    pub(super) fn line_ids(&self, topic: &str) -> String {
        format!("{}__rtid:{{{}}}.{topic}", self.prefix, self.app)
    }

    // --- all of them -----------------------------------------------------------------------------------------------

    /// A pattern for SCAN that matches every key of this prefix, and others: ask [`Self::is_ours`] of each.
    pub(super) fn pattern(&self) -> String {
        let mut pattern = String::new();
        for letter in self.prefix.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern + "__*"
    }

    /// Whether a key is one of this app's under this prefix.
    pub(super) fn is_ours(&self, key: &str) -> bool {
        let named = |key: &str| -> Option<bool> {
            let (kind, rest) = key.strip_prefix(&self.prefix)?.strip_prefix("__")?.split_once(':')?;
            let rest = rest.strip_prefix('{').unwrap_or(rest);
            // The tag of the Python layout is a whole key in braces.
            let rest = rest.strip_prefix(&self.prefix).and_then(|r| r.strip_prefix("__strm:")).unwrap_or(rest);
            let after = rest.strip_prefix(&self.app)?;
            Some(kind.bytes().all(|b| b.is_ascii_lowercase()) && after.starts_with(['.', '}']))
        };
        named(key).unwrap_or(false)
    }

    /// In the slot of a partition: letters share that of the events they were.
    fn of_partition(&self, kind: &str, stream: &StreamFacts, partition: Partition) -> String {
        let Self { prefix, app } = self;
        let name = stream.letters_of().unwrap_or(&stream.name);
        match stream.keys {
            KeyLayout::Runnel => {
                let group = partition.0 % stream.slot_groups.max(1);
                format!("{prefix}__{kind}:{{{app}.{name}.{group}}}.{partition}")
            }
            KeyLayout::Python => {
                format!("{prefix}__{kind}:{{{prefix}__strm:{app}.{name}.{partition}}}.{partition}")
            }
        }
    }

    /// Beside a partition, apart for its events and its letters.
    fn of_source(&self, kind: &str, stream: &StreamFacts, partition: Partition) -> String {
        let mut key = self.of_partition(kind, stream, partition);
        if stream.letters_of().is_some() {
            key.push_str(DEAD);
        }
        key
    }

    fn of_place(&self, kind: &str, place: &Place) -> String {
        let mut key = self.of_source(kind, &place.group.stream, place.partition);
        key.push('.');
        key.push_str(&place.group.processor);
        key
    }

    fn of_group(&self, kind: &str, group: &Group) -> String {
        format!("{}__{kind}:{{{}.{}.{}}}", self.prefix, self.app, group.stream.name, group.processor)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn place(keys: KeyLayout) -> Place {
        let facts = StreamFacts { keys, ..StreamFacts::orders(32) };
        Place { group: Group { stream: Arc::new(facts), processor: "billing".into() }, partition: Partition(19) }
    }

    #[test]
    fn keys_of_our_layout_are_as_the_protocol_says() {
        let (keys, place) = (Keys::new("test:", "shop"), place(KeyLayout::Runnel));
        let stream = &place.group.stream;

        assert_eq!(keys.partition(stream, place.partition), "test:__strm:{shop.orders.3}.19");
        assert_eq!(keys.fence(&place), "test:__own:{shop.orders.3}.19.billing");
        assert_eq!(keys.done(&place), "test:__done:{shop.orders.3}.19.billing");
        assert_eq!(keys.groups(stream, place.partition), "test:__grps:{shop.orders.3}.19");
        assert_eq!(keys.open(stream, place.partition), "test:__open:{shop.orders.3}.19");
        assert_eq!(keys.over(stream, place.partition), "test:__over:{shop.orders.3}.19");
    }

    #[test]
    fn keys_of_the_python_layout_share_the_slot_of_its_stream() {
        let (keys, place) = (Keys::new("test:", "shop"), place(KeyLayout::Python));
        let stream = &place.group.stream;

        assert_eq!(keys.partition(stream, place.partition), "test:__strm:shop.orders.19");
        assert_eq!(keys.fence(&place), "test:__own:{test:__strm:shop.orders.19}.19.billing");
        assert_eq!(keys.done(&place), "test:__done:{test:__strm:shop.orders.19}.19.billing");
        assert_eq!(keys.groups(stream, place.partition), "test:__grps:{test:__strm:shop.orders.19}.19");
    }

    #[test]
    fn letters_and_what_their_consumers_need_lie_beside_the_events() {
        for (layout, tag) in [(KeyLayout::Runnel, "shop.orders.3"), (KeyLayout::Python, "__strm:shop.orders.19")] {
            let (keys, mut place) = (Keys::new("", "shop"), place(layout));
            let events = Arc::clone(&place.group.stream);
            place.group.stream = Arc::new(events.dead_letters());
            let stream = &place.group.stream;

            assert_eq!(keys.partition(stream, place.partition), format!("__dead:{{{tag}}}.19"));
            assert_eq!(keys.letters(&events, place.partition), keys.partition(stream, place.partition));
            assert_eq!(keys.fence(&place), format!("__own:{{{tag}}}.19.dead.billing"));
            assert_eq!(keys.done(&place), format!("__done:{{{tag}}}.19.dead.billing"));
            assert_eq!(keys.groups(stream, place.partition), format!("__grps:{{{tag}}}.19.dead"));
            assert_eq!(keys.members(&place.group), "__memb:{shop.orders.dead.billing}");
        }
    }

    #[test]
    fn keys_of_rosters_and_apps_are_as_the_protocol_says() {
        let (keys, group) = (Keys::new("", "shop"), place(KeyLayout::Runnel).group);

        assert_eq!(keys.members(&group), "__memb:{shop.orders.billing}");
        assert_eq!(keys.beats(&group), "__beat:{shop.orders.billing}");
        assert_eq!(keys.bell(&group), "__ctrl:{shop.orders.billing}");
        assert_eq!(keys.facts("orders"), "__meta:shop.orders");
        assert_eq!(keys.streams(), "__list:{shop}");
        assert_eq!(keys.live(), "__live:{shop}");
        assert_eq!((keys.lead(), keys.cron()), ("__lead:{shop}".into(), "__cron:{shop}".into()));
        assert_eq!(keys.worker("host-1"), "__work:shop.host-1");
        assert_eq!((keys.document("r-1"), keys.indexes()), ("__rlog:{shop}.r-1".into(), "__ridx:{shop}".into()));
        assert_eq!(keys.index("task.load"), "__ridx:{shop}.task.load");
        assert_eq!((keys.topics(), keys.lines("load")), ("__rtask:{shop}".into(), "__rtask:{shop}.load".into()));
        assert_eq!((keys.lines_added(), keys.line_ids("load")), ("__rtid:{shop}".into(), "__rtid:{shop}.load".into()));
    }

    #[test]
    fn only_keys_of_this_app_and_prefix_are_ours() {
        let keys = Keys::new("p[1]", "shop");
        let (ours, python) = (place(KeyLayout::Runnel), place(KeyLayout::Python));

        for key in [keys.fence(&ours), keys.fence(&python), keys.partition(&python.group.stream, Partition(0))] {
            assert!(keys.is_ours(&key), "{key}");
        }
        for key in [keys.bell(&ours.group), keys.facts("orders"), keys.streams(), keys.live(), keys.worker("w")] {
            assert!(keys.is_ours(&key), "{key}");
        }
        for key in [keys.lead(), keys.cron()] {
            assert!(keys.is_ours(&key), "{key}");
        }
        for key in [
            keys.document("r"),
            keys.indexes(),
            keys.index("tag.x"),
            keys.topics(),
            keys.lines("t"),
            keys.lines_added(),
            keys.line_ids("t"),
        ] {
            assert!(keys.is_ours(&key), "{key}");
        }
        for key in
            ["__live:{shop}", "p[1]__live:{shopping}", "p[1]__meta:shopping.orders", "p[1]live:{shop}", "p[1]__x"]
        {
            assert!(!keys.is_ours(key), "{key}");
        }
        assert_eq!(keys.pattern(), "p\\[1\\]__*");
    }
}
