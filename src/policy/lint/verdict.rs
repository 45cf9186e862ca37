//! Truth of three values (Kleene): holds, does not hold, and unknown.

/// `None` is unknown.
pub(super) type Verdict = Option<bool>;

pub(super) fn both(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

pub(super) fn either(one: Verdict, other: Verdict) -> Verdict {
    not(both(not(one), not(other)))
}

pub(super) fn not(one: Verdict) -> Verdict {
    one.map(|holds| !holds)
}

/// What holds either way.
pub(super) fn chosen(test: Verdict, then: Verdict, otherwise: Verdict) -> Verdict {
    match test {
        Some(true) => then,
        Some(false) => otherwise,
        None => then.filter(|holds| otherwise == Some(*holds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_decides_where_it_can_and_unknown_stays_unknown_elsewhere() {
        assert_eq!(both(Some(false), None), Some(false));
        assert_eq!(both(Some(true), None), None);
        assert_eq!(either(None, Some(true)), Some(true));
        assert_eq!(either(None, Some(false)), None);
        assert_eq!(chosen(None, Some(true), Some(true)), Some(true));
        assert_eq!(chosen(None, Some(true), Some(false)), None);
        assert_eq!(chosen(Some(false), None, Some(true)), Some(true));
    }
}
