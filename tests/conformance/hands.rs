//! What foreign clients, careless operators and accidents do to a store, without asking its broker.

use std::sync::Mutex;

use redis::{Cmd, Value, cmd};
use runnel::broker::memory::Memory;
use runnel::broker::{KeyLayout, Place, StreamRef};
use runnel::event::{EventId, Partition};

/// Hands that reach into a store. A [`Place`] names a consumer group here, also one of somebody else.
pub(crate) trait Hands {
    /// Ends the lease of a place.
    fn lapse(&self, place: &Place);
    /// XGROUP CREATE .. MKSTREAM
    fn create_group(&self, group: &Place, position: EventId);
    /// XGROUP DESTROY
    fn delete_group(&self, group: &Place);
    /// XGROUP SETID
    fn move_group(&self, group: &Place, position: EventId);
    /// XREADGROUP
    fn read_in_group(&self, group: &Place, consumer: &str, count: usize);
    /// XACK
    fn acknowledge(&self, group: &Place, ids: &[EventId]);
    /// XGROUP DELCONSUMER
    fn delete_consumer(&self, group: &Place, consumer: &str);
    /// DEL of the fence
    fn delete_fence(&self, place: &Place);
    /// DEL of the partition's stream
    fn delete_stream(&self, stream: &StreamRef, partition: Partition);
    /// XDEL
    fn delete_entry(&self, stream: &StreamRef, partition: Partition, id: EventId);
    /// Ends the leader's term.
    fn lapse_lead(&self);
    /// The server's clock goes back, or forward if negative, as far as lead, workers and runs are concerned.
    fn turn_clock_back(&self, by_ms: i64);
}

impl Hands for Memory {
    fn lapse(&self, place: &Place) {
        Memory::lapse(self, place);
    }

    fn create_group(&self, group: &Place, position: EventId) {
        Memory::create_group(self, group, position);
    }

    fn delete_group(&self, group: &Place) {
        Memory::delete_group(self, group);
    }

    fn move_group(&self, group: &Place, position: EventId) {
        Memory::move_group(self, group, position);
    }

    fn read_in_group(&self, group: &Place, consumer: &str, count: usize) {
        Memory::read_in_group(self, group, consumer, count);
    }

    fn acknowledge(&self, group: &Place, ids: &[EventId]) {
        Memory::acknowledge(self, group, ids);
    }

    fn delete_consumer(&self, group: &Place, consumer: &str) {
        Memory::delete_consumer(self, group, consumer);
    }

    fn delete_fence(&self, place: &Place) {
        Memory::delete_fence(self, place);
    }

    fn delete_stream(&self, stream: &StreamRef, partition: Partition) {
        Memory::delete_stream(self, stream, partition);
    }

    fn delete_entry(&self, stream: &StreamRef, partition: Partition, id: EventId) {
        Memory::delete_entry(self, stream, partition, id);
    }

    fn lapse_lead(&self) {
        Memory::lapse_lead(self);
    }

    fn turn_clock_back(&self, by_ms: i64) {
        self.jump(-by_ms);
    }
}

/// Raw commands on a connection of its own. It knows the keys as the protocol describes them, not as the code does.
pub(crate) struct RawServer {
    connection: Mutex<redis::Connection>,
    app: String,
}

impl RawServer {
    pub(crate) fn new(connection: redis::Connection, app: String) -> Self {
        Self { connection: Mutex::new(connection), app }
    }

    fn key(&self, kind: &str, stream: &StreamRef, partition: Partition) -> String {
        assert_eq!(stream.keys, KeyLayout::Runnel, "these tests use our own layout");
        let slot_group = partition.0 % stream.slot_groups;
        let (name, kind, dead) = match (stream.name.strip_suffix(".dead"), kind) {
            (None, kind) => (&*stream.name, kind, ""),
            (Some(name), "strm") => (name, "dead", ""),
            (Some(name), kind) => (name, kind, ".dead"),
        };
        format!("__{kind}:{{{}.{name}.{slot_group}}}.{partition}{dead}", self.app)
    }

    fn stream(&self, place: &Place) -> String {
        self.key("strm", &place.group.stream, place.partition)
    }

    fn lead(&self) -> String {
        format!("__lead:{{{}}}", self.app)
    }

    fn fence(&self, place: &Place) -> String {
        format!("{}.{}", self.key("own", &place.group.stream, place.partition), place.group.processor)
    }

    /// Does it, or meets nothing to do it to.
    fn run(&self, command: &mut Cmd) {
        let answer: redis::RedisResult<Value> = command.query(&mut *self.connection.lock().unwrap());
        if let Err(error) = answer {
            let text = error.to_string();
            let nothing_there = ["NOGROUP", "BUSYGROUP", "requires the key to exist", "no such key"];
            assert!(nothing_there.iter().any(|known| text.contains(known)), "{text}");
        }
    }

    fn group_command(&self, word: &str, group: &Place) -> Cmd {
        let mut command = cmd("XGROUP");
        command.arg(word).arg(self.stream(group)).arg(&*group.group.processor);
        command
    }
}

impl Hands for RawServer {
    fn lapse(&self, place: &Place) {
        let there: bool = cmd("EXISTS").arg(self.fence(place)).query(&mut *self.connection.lock().unwrap()).unwrap();
        if there {
            self.run(cmd("HSET").arg(self.fence(place)).arg("until").arg(0));
        }
    }

    fn create_group(&self, group: &Place, position: EventId) {
        self.run(self.group_command("CREATE", group).arg(position.to_string()).arg("MKSTREAM"));
    }

    fn delete_group(&self, group: &Place) {
        self.run(&mut self.group_command("DESTROY", group));
    }

    fn move_group(&self, group: &Place, position: EventId) {
        self.run(self.group_command("SETID", group).arg(position.to_string()));
    }

    fn read_in_group(&self, group: &Place, consumer: &str, count: usize) {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(&*group.group.processor).arg(consumer).arg("COUNT").arg(count);
        self.run(command.arg("STREAMS").arg(self.stream(group)).arg(">"));
    }

    fn acknowledge(&self, group: &Place, ids: &[EventId]) {
        if !ids.is_empty() {
            let ids: Vec<String> = ids.iter().map(EventId::to_string).collect();
            self.run(cmd("XACK").arg(self.stream(group)).arg(&*group.group.processor).arg(ids));
        }
    }

    fn delete_consumer(&self, group: &Place, consumer: &str) {
        self.run(self.group_command("DELCONSUMER", group).arg(consumer));
    }

    fn delete_fence(&self, place: &Place) {
        self.run(cmd("DEL").arg(self.fence(place)));
    }

    fn delete_stream(&self, stream: &StreamRef, partition: Partition) {
        self.run(cmd("DEL").arg(self.key("strm", stream, partition)));
    }

    fn delete_entry(&self, stream: &StreamRef, partition: Partition, id: EventId) {
        self.run(cmd("XDEL").arg(self.key("strm", stream, partition)).arg(id.to_string()));
    }

    fn lapse_lead(&self) {
        let there: bool = cmd("EXISTS").arg(self.lead()).query(&mut *self.connection.lock().unwrap()).unwrap();
        if there {
            self.run(cmd("HSET").arg(self.lead()).arg("until").arg(0));
        }
    }

    /// Nobody can turn the clock of a server; the times that it has set can be moved.
    fn turn_clock_back(&self, by_ms: i64) {
        let script = "local by = tonumber(ARGV[1])
            if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HINCRBY', KEYS[1], 'until', by) end
            local live = redis.call('HGETALL', KEYS[2])
            for i = 1, #live, 2 do
              local dead_after, lives = string.match(live[i + 1], '^(%d+) (.*)$')
              redis.call('HSET', KEYS[2], live[i], string.format('%.0f %s', tonumber(dead_after) + by, lives))
            end
            for _, over in ipairs(redis.call('KEYS', ARGV[2])) do
              for _, run in ipairs(redis.call('ZRANGE', over, 0, -1)) do redis.call('ZINCRBY', over, by, run) end
            end";
        let live = format!("__live:{{{}}}", self.app);
        let over = format!("__over:{{{}.*", self.app);
        self.run(cmd("EVAL").arg(script).arg(2).arg(self.lead()).arg(live).arg(by_ms).arg(over));
    }
}
