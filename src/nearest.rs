//! What somebody meant who misspelt a name.

/// The name that is closest to what was written, if one is close enough to be meant.
pub(crate) fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let bearable = (written.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (steps_between(&written, &name.to_lowercase()), name))
        .filter(|&(steps, _)| steps <= bearable)
        .min_by_key(|&(steps, _)| steps)
        .map(|(_, name)| name)
}

/// How many letters must be added, left out, changed, or swapped with their neighbour.
fn steps_between(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut steps = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if j > 0 && previous == Some(y) && b[j - 1] == x {
                steps = steps.min(before_last[j - 1] + 1);
            }
            row.push(steps);
        }
        before_last = std::mem::replace(&mut last, row);
        previous = Some(x);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_understood_and_other_words_are_not() {
        let names = ["json", "msgpack", "orders"];
        assert_eq!(nearest("jsno", names), Some("json"));
        assert_eq!(nearest("JSON", names), Some("json"));
        assert_eq!(nearest("order", names), Some("orders"));
        assert_eq!(nearest("mesgpakc", names), Some("msgpack"));
        assert_eq!(nearest("avro", names), None);
        assert_eq!(nearest("", names), None);
    }
}
