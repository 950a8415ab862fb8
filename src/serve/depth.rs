//! Measures how deep a document nests and how many values it has, before it is parsed. Parsers recurse without a bound and would
//! overflow their stack, and a tiny value takes many times its bytes.

use crate::serve::error::Refusal;

/// More than any request needs.
const DEPTH_MAX: usize = 64;

/// What a document may be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Arrays and objects.
    pub containers_max: usize,
    /// Commas, of which there are fewer than values.
    pub commas_max: usize,
}

impl Shape {
    /// As large as the body.
    pub const ANY: Self = Self { containers_max: usize::MAX, commas_max: usize::MAX };
}

/// What is wrong with a document's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    TooDeep,
    TooMany,
}

/// Refuses a document that nests too deep, or is of more values than any that is right.
pub(super) fn check(body: &[u8], shape: Shape) -> Result<(), Refusal> {
    match fault(body, DEPTH_MAX, shape) {
        None => Ok(()),
        Some(Fault::TooDeep) => {
            let message = format!("the body nests more than {DEPTH_MAX} arrays and objects: send it flatter");
            Err(Refusal::bad("invalid_json", None, message))
        }
        Some(Fault::TooMany) => {
            let message = "the body has more values than the rows of one request can have: send fewer rows, and their columns alone";
            Err(Refusal::bad("too_many_values", None, message))
        }
    }
}

/// By what stands outside of texts.
fn fault(body: &[u8], depth_max: usize, shape: Shape) -> Option<Fault> {
    let (mut depth, mut containers, mut commas, mut in_text, mut escaped) = (0_usize, 0, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                containers += 1;
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            b',' if !in_text => commas += 1,
            _ => {}
        }
        if depth > depth_max {
            return Some(Fault::TooDeep);
        }
        if containers > shape.containers_max || commas > shape.commas_max {
            return Some(Fault::TooMany);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_commas_count_outside_of_texts_alone() {
        assert_eq!(fault(b"[[1],[2],{}]", 2, Shape::ANY), None);
        assert_eq!(fault(b"[[1],[{\"a\":2}]]", 2, Shape::ANY), Some(Fault::TooDeep));
        assert_eq!(fault(br#"["[[\"[[",1]"#, 1, Shape::ANY), None);
        assert_eq!(fault(br#"["\\",["#, 1, Shape::ANY), Some(Fault::TooDeep));
        let shape = Shape { containers_max: 3, commas_max: 2 };
        assert_eq!(fault(br#"[[1,2],{"a":"[,,"}]"#, 2, shape), None);
        assert_eq!(fault(b"[[1,2,3,4]]", 2, shape), Some(Fault::TooMany));
        assert_eq!(fault(b"[[],[],[]]", 2, shape), Some(Fault::TooMany));
    }
}
