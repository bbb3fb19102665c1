//! What a line is: the one rule by which texts are cut when they are written, and bytes when they are read.
//!
//! Both cut in the same way, so that a line has the same number for whoever counts.

use std::io::BufRead;

/// The longest line, in bytes.
pub(crate) const LONGEST: usize = 64 * 1024;

/// The lines of a text: at least one, none with a line break.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.strip_suffix('\n').unwrap_or(text).split('\n').flat_map(|line| {
        let mut rest = Some(line.trim_end_matches('\r'));
        std::iter::from_fn(move || {
            let line = rest?;
            let end = end_of_piece(line.as_bytes());
            let (piece, more) = line.split_at(end);
            rest = (!more.is_empty()).then_some(more);
            Some(piece.trim_end_matches('\r'))
        })
    })
}

/// Where the first piece of a line ends: at its end, or before the character that would make it too long.
fn end_of_piece(line: &[u8]) -> usize {
    if line.len() <= LONGEST {
        return line.len();
    }
    // A character has at most three bytes after its first; what has more is no UTF-8, and cut anywhere.
    (LONGEST - 3..=LONGEST).rev().find(|&end| line[end] & 0b1100_0000 != 0b1000_0000).unwrap_or(LONGEST)
}

/// Cuts bytes that come in blocks into numbered lines. It holds less than one line.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    rest: Vec<u8>,
    next: usize,
}

impl Cutter {
    /// Begins with a line of that number.
    pub(crate) fn at(number: usize) -> Self {
        Self { rest: Vec::new(), next: number }
    }

    /// The number of the next line, which is how many came before.
    pub(crate) fn next(&self) -> usize {
        self.next
    }

    /// How many bytes were taken that belong to no line yet.
    pub(crate) fn held(&self) -> usize {
        self.rest.len()
    }

    /// Takes a block, and shows each line that is complete.
    pub(crate) fn push(&mut self, mut block: &[u8], mut each: impl FnMut(usize, &[u8])) {
        while !block.is_empty() {
            let all = block;
            let taken = block.skip_until(b'\n').expect("reading from memory does not fail");
            let (line, complete) = match all[..taken].split_last() {
                Some((b'\n', line)) => (line, true),
                _ => (&all[..taken], false),
            };
            match complete && self.rest.is_empty() {
                true => self.line(line, &mut each),
                false => {
                    self.rest.extend_from_slice(line);
                    let mut rest = std::mem::take(&mut self.rest);
                    if complete {
                        self.line(&rest, &mut each);
                        rest.clear();
                    } else {
                        self.shorten(&mut rest, &mut each);
                    }
                    self.rest = rest;
                }
            }
        }
    }

    /// There is no more: what is left is a line without its break.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(usize, &[u8])) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.line(&rest, &mut each);
        }
    }

    /// Shows the beginning of a line that is too long already. Carriage returns at its end may yet turn out to be part
    /// of a line break, hence the wait for one byte that is none.
    fn shorten(&mut self, rest: &mut Vec<u8>, each: &mut impl FnMut(usize, &[u8])) {
        let mut from = 0;
        while trimmed(&rest[from..]).len() > LONGEST {
            let end = end_of_piece(&rest[from..]);
            self.show(&rest[from..from + end], each);
            from += end;
        }
        rest.drain(..from);
        // Nobody means anything by so many of them.
        if rest.len() > 2 * LONGEST {
            rest.truncate(LONGEST);
        }
    }

    fn line(&mut self, line: &[u8], each: &mut impl FnMut(usize, &[u8])) {
        let mut rest = trimmed(line);
        loop {
            let (piece, more) = rest.split_at(end_of_piece(rest));
            self.show(piece, each);
            rest = more;
            if rest.is_empty() {
                return;
            }
        }
    }

    fn show(&mut self, piece: &[u8], each: &mut impl FnMut(usize, &[u8])) {
        each(self.next, trimmed(piece));
        self.next += 1;
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
    &line[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes out if the bytes come in blocks of that size.
    fn cut(bytes: &[u8], block: usize) -> Vec<String> {
        let mut cutter = Cutter::default();
        let mut lines = Vec::new();
        for block in bytes.chunks(block) {
            cutter.push(block, |number, line| {
                assert_eq!(number, lines.len());
                lines.push(String::from_utf8_lossy(line).into_owned());
            });
        }
        cutter.finish(|_, line| lines.push(String::from_utf8_lossy(line).into_owned()));
        lines
    }

    #[test]
    fn lines_lose_their_breaks_and_nothing_else() {
        assert_eq!(cut(b"a\r\n\n b\tc \r\nlast", 2), ["a", "", " b\tc ", "last"]);
        assert_eq!(pieces("a\r\n\nb\n").collect::<Vec<_>>(), ["a", "", "b"]);
        assert_eq!(pieces("").collect::<Vec<_>>(), [""]);
        assert_eq!(pieces("progress\rmore").collect::<Vec<_>>(), ["progress\rmore"]);
    }

    #[test]
    fn what_is_no_utf_8_is_replaced_and_stays_a_line() {
        assert_eq!(cut(b"\xffabc\xc3\n\xf0\x9f\x98\n", 1), ["\u{fffd}abc\u{fffd}", "\u{fffd}"]);
    }

    #[test]
    fn a_long_line_is_split_between_characters() {
        let long = format!("{}é{}", "a".repeat(LONGEST - 1), "b".repeat(LONGEST));

        let split: Vec<_> = pieces(&long).map(str::len).collect();

        assert_eq!(split, [LONGEST - 1, LONGEST, 2]);
        assert_eq!(cut(format!("{long}\n").as_bytes(), 1000), pieces(&long).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_that_is_just_short_enough_is_one() {
        let line = "a".repeat(LONGEST);
        for text in [format!("{line}\n"), format!("{line}\r\n"), line.clone()] {
            for block in [1, 4096, usize::MAX] {
                assert_eq!(cut(text.as_bytes(), block), [line.as_str()]);
            }
        }
    }

    #[test]
    fn a_line_without_end_is_not_held() {
        let mut cutter = Cutter::default();
        for block in [[b'x'; 10_000], [b'\r'; 10_000], [0x80; 10_000]].iter().cycle().take(300) {
            cutter.push(block, |_, line| assert!(line.len() <= LONGEST));
            assert!(cutter.rest.capacity() <= 4 * LONGEST);
        }
        assert!(cutter.next() > 20);
    }

    proptest! {
        #[test]
        fn what_was_cut_when_written_is_cut_alike_when_read(
            texts in prop::collection::vec("[a\r\n é]{0,40}", 0..20),
            block in 1usize..50,
        ) {
            let lines: Vec<_> = texts.iter().flat_map(|text| pieces(text)).collect();
            let written: String = lines.iter().flat_map(|line| [*line, "\n"]).collect();
            prop_assert_eq!(cut(written.as_bytes(), block), lines);
        }
    }
}
