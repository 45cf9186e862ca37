//! Which keys a table may have, and what somebody meant who wrote another one.

/// The keys of one table of a file.
#[derive(Debug)]
pub struct Shape {
    /// Where it stands: `""` for the top of the file, `server.tls`, `issuers`.
    pub table: &'static str,
    /// What it may hold, in the order in which people should read it.
    pub keys: &'static [&'static str],
}

/// The word among `known` that somebody who wrote `word` most likely meant.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase().replace('-', "_")), candidate))
        .filter(|(far, candidate)| *far <= 1.max(candidate.chars().count() / 3))
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// The table of `shapes`, other than `here`, that has exactly this key; only when there is one.
pub(super) fn home_of(key: &str, here: &str, shapes: &'static [Shape]) -> Option<&'static str> {
    let mut homes = shapes
        .iter()
        .filter(|shape| shape.table != here && !shape.table.is_empty() && shape.keys.contains(&key));
    match (homes.next(), homes.next()) {
        (Some(only), None) => Some(only.table),
        _ => None,
    }
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, have) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        let mut next = vec![before];
        for (want, above) in right.iter().zip(row.iter().skip(1)) {
            before = (diagonal + usize::from(have != *want)).min(above + 1).min(before + 1);
            diagonal = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: Shape = Shape { table: "", keys: &["cave", "den"] };
    const CAVE: Shape = Shape { table: "cave", keys: &["name", "audiences", "jwks_url"] };
    const DEN: Shape = Shape { table: "den", keys: &["name", "default_ttl", "iam_endpoint"] };
    const SHAPES: &[Shape] = &[TOP, CAVE, DEN];

    #[test]
    fn a_slip_of_the_finger_finds_the_word_that_was_meant() {
        assert_eq!(nearest("audience", CAVE.keys.iter().copied()), Some("audiences"));
        assert_eq!(nearest("jwks-url", CAVE.keys.iter().copied()), Some("jwks_url"));
        assert_eq!(nearest("Default_TTL", DEN.keys.iter().copied()), Some("default_ttl"));
        assert_eq!(nearest("colour", CAVE.keys.iter().copied()), None);
    }

    #[test]
    fn distance_counts_single_edits() {
        for (left, right, far) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("abc", "abc", 0)] {
            assert_eq!(distance(left, right), far, "{left} {right}");
            assert_eq!(distance(right, left), far, "{right} {left}");
        }
    }

    #[test]
    fn a_key_of_another_table_is_sent_home_only_when_the_home_is_certain() {
        assert_eq!(home_of("iam_endpoint", "cave", SHAPES), Some("den"));
        assert_eq!(home_of("name", "", SHAPES), None, "both have one");
    }
}
