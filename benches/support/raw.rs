//! The contenders to compare with: what a client does that only knows Redis, and wants to be fast.

use std::time::Duration;

use super::client::Client;
use super::contender::{Contender, Discipline, Ground};
use super::order::Order;

/// Appends in pipelines of 100, and drains in one of two ways.
pub(crate) struct Raw {
    reading: Reading,
    client: Option<Client>,
}

/// How a raw client drains.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// XREADGROUP COUNT 64 over all partitions, then one XACK a partition in the pipeline of the next read. The base.
    Group,
    /// XREAD COUNT 64 over all partitions; nothing is settled. What reading alone costs.
    Plain,
}

const PIPELINE: usize = 100;
const GROUP: &str = "base";

impl Raw {
    pub(crate) fn new(reading: Reading) -> Self {
        Self { reading, client: None }
    }

    fn client(&mut self) -> runnel::Result<&mut Client> {
        self.client.as_mut().ok_or_else(|| "a contender is prepared before it is measured".into())
    }
}

impl Contender for Raw {
    fn name(&self) -> &str {
        match self.reading {
            Reading::Group => "raw XADD | XREADGROUP + XACK",
            Reading::Plain => "raw XREAD",
        }
    }

    fn disciplines(&self) -> &[Discipline] {
        match self.reading {
            Reading::Group => &[Discipline::Send, Discipline::Drain],
            Reading::Plain => &[Discipline::Drain, Discipline::Latency],
        }
    }

    fn prepare(&mut self, ground: &Ground) -> runnel::Result {
        let mut client = ground.client()?;
        if self.reading == Reading::Group {
            for key in self.keys(ground) {
                client.call(&format!("XGROUP CREATE {key} {GROUP} 0 MKSTREAM"))?;
            }
        }
        self.client = Some(client);
        Ok(())
    }

    fn send(&mut self, ground: &Ground) -> runnel::Result {
        let keys = self.keys(ground);
        let client = self.client()?;
        let mut json = Vec::new();
        let mut in_flight = 0;
        for order in ground.orders() {
            append(client, &keys, &order, &mut json)?;
            in_flight += 1;
            if in_flight == PIPELINE {
                client.flush()?;
                (0..in_flight).try_for_each(|_| client.acknowledged())?;
                in_flight = 0;
            }
        }
        client.flush()?;
        (0..in_flight).try_for_each(|_| client.acknowledged())?;
        Ok(())
    }

    fn drain(&mut self, ground: &Ground) -> runnel::Result<usize> {
        let keys = self.keys(ground);
        let reading = self.reading;
        let client = self.client()?;
        let mut positions = vec![b"0-0".to_vec(); keys.len()];
        // Ids of one partition after the other, each ended by a blank: no allocation per event.
        let mut unsettled: Vec<Vec<u8>> = vec![Vec::new(); keys.len()];
        let mut drained = 0;
        loop {
            let acks = unsettled.iter().filter(|ids| !ids.is_empty()).count();
            settle(client, &keys, &mut unsettled);
            let more = drained < ground.events;
            if more {
                read(client, &keys, reading, &positions, None);
            }
            client.flush()?;
            (0..acks).try_for_each(|_| client.acknowledged())?;
            if !more {
                return Ok(drained);
            }
            let before = drained;
            client.entries(&keys, |partition, id, _| {
                drained += 1;
                match reading {
                    Reading::Group => {
                        unsettled[partition].extend_from_slice(id);
                        unsettled[partition].push(b' ');
                    }
                    Reading::Plain => id.clone_into(&mut positions[partition]),
                }
            })?;
            if drained == before {
                return Err(format!("{drained} of {} events are there", ground.events).into());
            }
        }
    }

    fn keys(&self, ground: &Ground) -> Vec<String> {
        (0..ground.partitions).map(|partition| format!("raw:{{{partition}}}")).collect()
    }

    fn receive(&mut self, ground: &Ground, events: usize) -> runnel::Result<Vec<Duration>> {
        let keys = self.keys(ground);
        let client = self.client()?;
        let mut positions = vec![b"0-0".to_vec(); keys.len()];
        let mut ages = Vec::with_capacity(events);
        while ages.len() < events {
            read(client, &keys, Reading::Plain, &positions, Some(2000));
            client.flush()?;
            client.entries(&keys, |partition, id, json| {
                id.clone_into(&mut positions[partition]);
                ages.extend(serde_json::from_slice(json).map(|order: Order| order.age()));
            })?;
        }
        Ok(ages)
    }
}

/// Adds an XADD of the order to the pipeline.
pub(crate) fn append(client: &mut Client, keys: &[String], order: &Order, json: &mut Vec<u8>) -> runnel::Result {
    json.clear();
    serde_json::to_writer(&mut *json, order)?;
    let key = keys[order.partition(keys.len())].as_bytes();
    client.command([b"XADD", key, b"*", b"data", json].into_iter());
    Ok(())
}

fn read(client: &mut Client, keys: &[String], reading: Reading, positions: &[Vec<u8>], block_ms: Option<u32>) {
    let block = block_ms.map(|ms| ms.to_string()).unwrap_or_default();
    let mut words: Vec<&[u8]> = match reading {
        Reading::Group => vec![b"XREADGROUP", b"GROUP", GROUP.as_bytes(), b"consumer"],
        Reading::Plain => vec![b"XREAD"],
    };
    words.extend([b"COUNT".as_slice(), b"64"]);
    if block_ms.is_some() {
        words.extend([b"BLOCK".as_slice(), block.as_bytes()]);
    }
    words.push(b"STREAMS");
    words.extend(keys.iter().map(String::as_bytes));
    match reading {
        Reading::Group => words.extend(keys.iter().map(|_| b">".as_slice())),
        Reading::Plain => words.extend(positions.iter().map(Vec::as_slice)),
    }
    client.command(words.into_iter());
}

/// Adds one XACK a partition to the pipeline, and forgets the ids.
fn settle(client: &mut Client, keys: &[String], unsettled: &mut [Vec<u8>]) {
    for (key, ids) in keys.iter().zip(unsettled).filter(|(_, ids)| !ids.is_empty()) {
        let mut words: Vec<&[u8]> = vec![b"XACK", key.as_bytes(), GROUP.as_bytes()];
        words.extend(ids.split(|byte| *byte == b' ').filter(|id| !id.is_empty()));
        client.command(words.into_iter());
        ids.clear();
    }
}
