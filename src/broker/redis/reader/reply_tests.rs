use proptest::prelude::*;

use super::*;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A stream as a server would have it: its key and entries, each with its fields.
type Stream = (Vec<u8>, Vec<((u64, u64), Pairs)>);

/// A stream as it was read.
type Arrived = (Vec<u8>, Vec<Entry>);

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn written(streams: &[Stream], version: u8) -> Vec<u8> {
    let mut out = format!("{}{}\r\n", if version == 3 { '%' } else { '*' }, streams.len()).into_bytes();
    for (key, entries) in streams {
        if version == 2 {
            out.extend_from_slice(b"*2\r\n");
        }
        bulk(&mut out, key);
        out.extend_from_slice(format!("*{}\r\n", entries.len()).as_bytes());
        for ((ms, seq), fields) in entries {
            out.extend_from_slice(b"*2\r\n");
            bulk(&mut out, format!("{ms}-{seq}").as_bytes());
            out.extend_from_slice(format!("*{}\r\n", 2 * fields.len()).as_bytes());
            fields.iter().for_each(|(name, value)| {
                bulk(&mut out, name);
                bulk(&mut out, value);
            });
        }
    }
    out
}

fn expected(streams: &[Stream]) -> Vec<Arrived> {
    let entry = |&((ms, seq), ref fields): &((u64, u64), Pairs)| Entry {
        id: EventId::new(ms, seq),
        fields: Fields::from_pairs(fields.iter().map(|(n, v)| (n, v))),
    };
    streams.iter().map(|(key, entries)| (key.clone(), entries.iter().map(entry).collect())).collect()
}

/// What arrives when the bytes come in pieces of these sizes, and how long the reply was.
fn read(bytes: &[u8], sizes: impl IntoIterator<Item = usize>) -> Result<(Vec<Arrived>, usize), Malformed> {
    let mut parser = Parser::new();
    let mut arrived = 0;
    let mut sizes = sizes.into_iter();
    loop {
        if let Some(answer) = parser.advance(&bytes[..arrived])? {
            let reply = Bytes::copy_from_slice(&bytes[..parser.end()]);
            let Answer::Streams(found) = answer else { return Ok((Vec::new(), parser.end())) };
            let streams = found.into_iter().map(|found| {
                let (from, to) = found.key;
                (reply[from as usize..to as usize].to_vec(), found.entries(&reply))
            });
            return Ok((streams.collect(), parser.end()));
        }
        if arrived == bytes.len() {
            return Err(Malformed::Shape("an end"));
        }
        arrived = bytes.len().min(arrived + sizes.next().unwrap_or(usize::MAX - arrived).max(1));
    }
}

fn whole(bytes: &[u8]) -> Result<Vec<Arrived>, Malformed> {
    read(bytes, []).map(|(streams, _)| streams)
}

#[test]
fn nothing_in_every_spelling_is_no_streams() {
    for nothing in ["*-1\r\n", "$-1\r\n", "_\r\n", "*0\r\n", "%0\r\n"] {
        assert_eq!(whole(nothing.as_bytes()), Ok(vec![]), "{nothing:?}");
    }
}

#[test]
fn doubled_names_empty_entries_and_any_bytes_are_kept() {
    let field = |n: &[u8], v: &[u8]| (n.to_vec(), v.to_vec());
    let odd = vec![field(b"a", b"\r\n*2\r\n"), field(b"a", b""), field(b"", b"\xff\0")];
    let streams = vec![(b"key\r\n".to_vec(), vec![((1, 0), odd), ((u64::MAX, u64::MAX), vec![])]), (vec![], vec![])];

    for version in [2, 3] {
        assert_eq!(whole(&written(&streams, version)), Ok(expected(&streams)), "version {version}");
    }
}

#[test]
fn a_refusal_is_an_answer_only_where_a_reply_begins() {
    let mut parser = Parser::new();
    assert!(matches!(parser.advance(b"-WRONGTYPE no\r\n"), Ok(Some(Answer::Refused((1, 13))))));
    assert_eq!(whole(b"*1\r\n-WRONGTYPE no\r\n"), Err(Malformed::Shape("a refusal")));
}

#[test]
fn what_is_no_reply_is_refused() {
    let long = format!("-{}", "x".repeat(70_000));
    for (bytes, why) in [
        ("?", Malformed::Type(b'?')),
        ("*x\r\n", Malformed::Number),
        ("*-2\r\n", Malformed::Number),
        ("*\r\n", Malformed::Number),
        ("*00000000000000000000000000000000", Malformed::Number),
        ("*99999999999999999999\r\n", Malformed::Number),
        ("*1\rx", Malformed::LineEnd),
        ("*9999999999\r\n", Malformed::TooLarge),
        ("*1\r\n*2\r\n$4294967295\r\n", Malformed::TooLarge),
        ("*1\r\n*2\r\n$1\r\nkey", Malformed::LineEnd),
        ("*1\r\n*3\r\n", Malformed::Shape("an array")),
        (":1\r\n", Malformed::Shape("a number")),
        ("+OK\r\n", Malformed::Shape("a simple string")),
        ("*1\r\n*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$2\r\n-1\r\n", Malformed::Shape("a text that is no id")),
        ("*1\r\n*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*1\r\n", Malformed::Shape("a name without a value")),
        ("*1\r\n*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$-1\r\n", Malformed::Shape("a null")),
        (&long, Malformed::LineEnd),
    ] {
        assert_eq!(whole(bytes.as_bytes()), Err(why), "{:?}", &bytes[..bytes.len().min(60)]);
    }
}

#[test]
fn announced_counts_allocate_nothing_by_themselves() {
    let mut parser = Parser::new();
    assert!(parser.advance(b"*4294967295\r\n*2\r\n$1\r\nk\r\n*4294967295\r\n").unwrap().is_none());
    assert!(parser.found[0].entries.capacity() <= ENTRIES_AHEAD as usize);
}

#[test]
fn a_reply_in_many_pieces_costs_as_many_tokens_as_in_one() {
    let fields = (0..20_000).map(|n| (format!("name{n}").into_bytes(), vec![b'v'; 10])).collect();
    let bytes = written(&[(b"k".to_vec(), vec![((1, 1), fields)])], 2);
    let mut parser = Parser::new();

    // The parser never goes back: what it has taken is behind it, also within one entry.
    for arrived in (0..bytes.len()).step_by(1000) {
        assert!(parser.advance(&bytes[..arrived]).unwrap().is_none());
        assert!(arrived - parser.end() < 64, "{} of {arrived}", parser.end());
    }
}

fn streams() -> impl Strategy<Value = Vec<Stream>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..12);
    let fields = proptest::collection::vec((bytes(), bytes()), 0..4);
    let entries = proptest::collection::vec((any::<(u64, u64)>(), fields), 0..5);
    proptest::collection::vec((bytes(), entries), 0..4)
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        streams in streams(),
        version in 2u8..=3,
        sizes in proptest::collection::vec(1usize..9, 0..400),
        trailing in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let reply = written(&streams, version);
        let followed = [&reply[..], &trailing].concat();

        prop_assert_eq!(read(&followed, sizes), Ok((expected(&streams), reply.len())));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = whole(&bytes);
        let _ = super::super::resp::any_value(&bytes);
    }

    /// Closer to the mark than noise: valid replies with a few bytes changed.
    #[test]
    fn damaged_replies_never_panic(
        streams in streams(),
        version in 2u8..=3,
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut reply = written(&streams, version);
        for (at, byte) in damage {
            let at = at.index(reply.len());
            reply[at] = byte;
        }
        let _ = whole(&reply);
        let _ = super::super::resp::any_value(&reply);
    }
}

#[test]
#[ignore = "measures, decides nothing"]
#[allow(clippy::print_stdout, reason = "figures are for whoever asked for them")]
fn measure_what_an_event_costs() {
    let fields = || vec![(b"data".to_vec(), vec![b'x'; 180])];
    let stream =
        |n: usize| (format!("k{n}").into_bytes(), (0..64).map(|ms| ((1795315492410 + ms, 0), fields())).collect());
    for version in [2, 3] {
        let bytes = Bytes::from(written(&(0..16).map(stream).collect::<Vec<_>>(), version));
        let rounds = 2000;
        let begun = crate::clock::now();
        let mut seen = 0;
        for _ in 0..rounds {
            let Ok(Some(Answer::Streams(found))) = Parser::new().advance(std::hint::black_box(&bytes)) else {
                panic!()
            };
            seen += found.into_iter().map(|found| std::hint::black_box(found.entries(&bytes)).len()).sum::<usize>();
        }
        let cost = crate::clock::now().since(begun).as_nanos() as f64 / seen as f64;
        println!("version {version}: {cost:.1} ns per event");
    }
}
