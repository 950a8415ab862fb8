//! Which known name an unknown one was probably meant to be.

/// The nearest of `known`, if it is near: at most one edit in four characters (at least one), swaps counting one, letter
/// case counting nothing. The first of equals.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    let limit = (wanted.len() / 4).max(1);
    let distances = known.iter().map(|candidate| {
        let letters: Vec<char> = candidate.to_lowercase().chars().collect();
        (distance(&wanted, &letters), *candidate)
    });
    // One letter is one edit from any other: nothing is near it.
    let near = distances.filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count().max(1));
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) that make `a` of `b`: optimal string alignment.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
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
