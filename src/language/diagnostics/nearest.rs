//! Which known name an unknown one was probably meant to be.

/// The nearest of `known`, if it is near: at most one edit in four characters (at least one), swaps counting one, letter
/// case counting nothing. The first of equals.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let limit = (wanted.chars().count() / 4).max(1);
    let distances = known.iter().map(|candidate| (strsim::osa_distance(&wanted, &candidate.to_lowercase()), *candidate));
    // One letter is one edit from any other: nothing is near it.
    let near = distances.filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count().max(1));
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["user_id", "amount", "status", "x"];
        assert_eq!(nearest("ammount", &known), Some("amount"));
        assert_eq!(nearest("user_di", &known), Some("user_id"));
        assert_eq!(nearest("USER_ID", &known), Some("user_id"));
        assert_eq!(nearest("country", &known), None);
        assert_eq!(nearest("y", &known), None);
        assert_eq!(nearest("staus", &known), Some("status"));
    }
}
