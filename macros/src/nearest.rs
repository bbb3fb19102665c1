//! The nearest of some names to a misspelt one.

/// `: did you mean `retry`?` behind a sentence about an unknown name; else the list of what there is.
pub(crate) fn did_you_mean(written: &str, names: &[&str]) -> String {
    match nearest(written, names) {
        Some(name) => format!(": did you mean `{name}`?"),
        None => format!(": there are {}", listed(names)),
    }
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}

/// Near is: at most a third of the longer one's letters added, left out, changed or swapped with their neighbour.
fn nearest<'a>(written: &str, names: &[&'a str]) -> Option<&'a str> {
    let far = |name: &str| distance(&written.to_lowercase(), name);
    let nearest = names.iter().copied().min_by_key(|name| far(name))?;
    (far(nearest) <= written.chars().count().max(nearest.len()).div_ceil(3)).then_some(nearest)
}

fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_answered_with_the_nearest() {
        let names = ["retry", "timeout", "batch"];
        assert_eq!(nearest("retries", &names), Some("retry"));
        assert_eq!(nearest("time_out", &names), Some("timeout"));
        assert_eq!(nearest("abtch", &names), Some("batch"));
        assert_eq!(nearest("colour", &names), None);
    }

    #[test]
    fn a_name_that_is_near_nothing_is_answered_with_all() {
        assert_eq!(
            did_you_mean("x", &["halt", "ignore", "quarantine"]),
            ": there are `halt`, `ignore` and `quarantine`"
        );
    }
}
