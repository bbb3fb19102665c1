//! The nearest of some names to a misspelt one.

/// The name that somebody who wrote `written` most likely meant, if one is near enough.
///
/// Near is: at most a third of the longer one's letters added, left out, changed or swapped with their neighbour.
pub(crate) fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer texts are no typing errors, and the distance costs the product of the lengths.
    if written.len() > 256 {
        return None;
    }
    names
        .into_iter()
        .map(|name| (distance(&written.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(far, name)| *far <= written.chars().count().max(name.chars().count()).div_ceil(3))
        .min_by_key(|(far, _)| *far)
        .map(|(_, name)| name)
}

/// ``; did you mean `orders`?``, or nothing, to be put behind a sentence about a name that does not exist.
pub(crate) fn did_you_mean<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(written, names).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// How many letters must be added, removed, changed or swapped with their neighbour to come from one to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_answered_with_the_nearest() {
        let streams = ["orders", "payments", "order_lines"];
        assert_eq!(nearest("oders", streams), Some("orders"));
        assert_eq!(nearest("ordesr", streams), Some("orders"));
        assert_eq!(nearest("PAYMENT", streams), Some("payments"));
    }

    #[test]
    fn a_name_unlike_all_others_is_answered_with_none() {
        assert_eq!(nearest("warehouse", ["orders", "payments"]), None);
        assert_eq!(nearest(&"o".repeat(100_000), ["orders"]), None);
        assert_eq!(did_you_mean("x", ["orders"]), "");
    }

    #[test]
    fn neighbours_that_were_swapped_count_once() {
        assert_eq!(distance("levle", "level"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
