//! How deep a document nests, told before it is read: the readers call themselves for what is nested, without a bound,
//! and would leave their stack.

use super::error::Refusal;

/// More than any request needs.
const DEPTH_MAX: usize = 64;

/// Refuses a document that nests too deep.
pub(super) fn check(body: &[u8]) -> Result<(), Refusal> {
    if nests_deeper(DEPTH_MAX, body) {
        let message = format!("the body nests more than {DEPTH_MAX} arrays and objects: send it flatter");
        return Err(Refusal::bad("invalid_json", None, message));
    }
    Ok(())
}

/// Whether brackets outside of texts nest deeper than that.
fn nests_deeper(most: usize, body: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_outside_of_texts_alone() {
        assert!(!nests_deeper(2, b"[[1],[2],{}]"));
        assert!(nests_deeper(2, b"[[1],[{\"a\":2}]]"));
        assert!(!nests_deeper(1, br#"["[[\"[[",1]"#));
        assert!(nests_deeper(1, br#"["\\",["#));
    }
}
