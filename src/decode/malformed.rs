//! What to say of a record that is no JSON object: what the parser said, and what to do about the usual faults. Must never
//! decide whether a record is one.

/// What such a record is rejected with.
pub(super) fn message(text: &str, error: &str) -> String {
    let said = error.lines().next().unwrap_or("no JSON").to_lowercase();
    // A record has one line of its own; which line of a file it is, this does not know.
    let said = said.replace(" at line 1 column ", " at column ");
    let advice = advice(text).map(|advice| format!(": {advice}")).unwrap_or_default();
    format!("{said}{advice}")
}

/// What to do about the first fault that is known.
fn advice(text: &str) -> Option<&'static str> {
    let begins = text.trim_start();
    if begins.starts_with('\u{feff}') {
        return Some("take out the byte order mark before the record");
    }
    if begins.starts_with('[') {
        return Some("a record is one object, and not an array");
    }
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => match end_of_text(bytes, at) {
                Some(end) => at = end,
                None => return Some("the record ends within a text: write a line break in it as \\n, and each record in one line"),
            },
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return match bytes[at + 1..].trim_ascii() {
                        [] => None,
                        [b',', ..] => Some("take out the comma behind the object: each line is a record by itself"),
                        _ => Some(
                            "something stands behind the object: write each record in a line of its own (curl -d joins the lines of a file, --data-binary keeps them)",
                        ),
                    };
                }
            }
            b',' if matches!(bytes[at + 1..].trim_ascii_start(), [b'}' | b']', ..]) => {
                return Some("take out the comma before the closing bracket");
            }
            b'\'' => return Some("JSON writes texts in double quotes (of Python, json.dumps does)"),
            byte if byte.is_ascii_alphabetic() && !is_number(bytes, at) => {
                let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                if let Some(advice) = of_word(&text[at..at + length]) {
                    return Some(if depth > 0 { advice } else { "a record is one object" });
                }
                at += length - 1;
            }
            _ => {}
        }
        at += 1;
    }
    (depth > 0).then_some("the record ends within the object: write each record in one line, or all as one array")
}

/// Whether the letter is the exponent of a number.
fn is_number(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_digit() || bytes[at - 1] == b'.')
}

/// Where the text that begins there ends.
fn end_of_text(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn of_word(word: &str) -> Option<&'static str> {
    match word {
        "true" | "false" | "null" => None,
        "NaN" | "Infinity" | "nan" | "inf" | "Inf" => {
            Some("write it in quotes (\"NaN\", \"Infinity\", \"-Infinity\") for a double, or null")
        }
        "True" | "False" | "None" => Some("JSON writes true, false and null (of Python, json.dumps does)"),
        "undefined" | "NULL" | "Null" | "nil" | "NA" => Some("write null"),
        _ => Some("a text stands in double quotes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_faults_have_their_remedy() {
        for (text, beginning) in [
            (r#"{"a":NaN}"#, "write it in quotes"),
            (r#"{"a":-Infinity}"#, "write it in quotes"),
            (r#"{"a":True}"#, "JSON writes true"),
            (r#"{"a":undefined}"#, "write null"),
            ("{a:1}", "a text stands"),
            ("{'a':1}", "JSON writes texts"),
            (r#"{"a":1,}"#, "take out the comma before"),
            (r#"{"a":[1, ] }"#, "take out the comma before"),
            (r#"{"a":1},"#, "take out the comma behind"),
            (r#"{"a":1} {"a":2}"#, "something stands behind"),
            ("not json", "a record is one object"),
            (r#"{"a":1e5,"b":"x""#, "the record ends within the object"),
            (r#"{"a":"x}"#, "the record ends within a text"),
            (r#"[{"a":1}]"#, "a record is one object"),
            ("\u{feff}{}", "take out the byte order mark"),
        ] {
            assert!(advice(text).is_some_and(|advice| advice.starts_with(beginning)), "{text}: {:?}", advice(text));
        }
        for text in ["", "1", r#"{"a":"NaN, 'x' ,}","b":1E5}"#, r#"{"a" 1}"#] {
            assert_eq!(advice(text), None, "{text}");
        }
        assert!(message("{", "EOF at line 1 column 2\n\tx").starts_with("eof at column 2: "));
    }
}
