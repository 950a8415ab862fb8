//! Definitions whose cost grows faster than their text are refused before they are planned.

use super::codes;

#[test]
fn expressions_that_are_too_long_are_refused_and_not_read() {
    let of = |feature: &str| {
        format!(
            "source s (k bigint, a bigint, t timestamp) from log 's' format json event time t; entity e (k bigint); features f of e from s ({feature});"
        )
    };
    // A test's thread has a quarter of the stack, and frames of code that is not optimised are several times as large.
    assert_eq!(codes(&of(&format!("x = sum({}a) over all", "a + ".repeat(40)))), [""; 0]);
    for operator in [" + ", " - a and 1 < ", "::bigint + "] {
        assert_eq!(codes(&of(&format!("x = sum({}a) over all", format!("a{operator}").repeat(100_000)))), ["FB0006"]);
    }
    // Each reads the one before it twice.
    let chain: String = (1..60).map(|line| format!("d{line} = d{0} + d{0},", line - 1)).collect();
    let found = codes(&(of(&format!("d0 = sum(a) over all, {chain}")) + "vector v (f.d5);"));
    assert!(!found.is_empty() && found.iter().all(|code| *code == "FB0006"), "{found:?}");
}
