//! The codes of refused requests: stable names for programs. Each has one meaning and is never used for another.

/// A code of a refused request.
pub struct ErrorCode {
    pub code: &'static str,
    /// The status of the answer.
    pub status: u16,
    pub meaning: &'static str,
}

const fn code(code: &'static str, status: u16, meaning: &'static str) -> ErrorCode {
    ErrorCode { code, status, meaning }
}

/// Every code, by status and name.
pub const CODES: &[ErrorCode] = &[
    code("as_of_too_old", 400, "`as_of` is before the online history of a source of the vector; use a training set"),
    code("empty_body", 400, "a push without records"),
    code("invalid", 400, "the engine refuses the request; the message says why"),
    code("invalid_frames", 400, "the lengths of a framed body do not add up"),
    code("invalid_json", 400, "the body is not a JSON document of the expected form"),
    code("invalid_path", 400, "the path cannot be decoded"),
    code("length_mismatch", 400, "`request` has another number of rows than `keys`"),
    code("missing_field", 400, "a required field is missing"),
    code("missing_key", 400, "a row lacks a key of the vector"),
    code("missing_request", 400, "a row of a score lacks a request column"),
    code("null_key", 400, "a key is null"),
    code("repeated_field", 400, "a name occurs twice in an object"),
    code("too_many_positions", 400, "`after` has more positions than a request may have"),
    code("too_many_rows", 400, "a lookup or score has more rows than a request may have"),
    code("too_many_values", 400, "the body nests too deeply or has too many values"),
    code("unknown_field", 400, "the request has a field that does not exist"),
    code("unknown_position", 400, "a position of `after` cannot come: unknown source or partition, or an offset behind the end"),
    code("unknown_query", 400, "the path has a query; no route takes one"),
    code("unreadable_body", 400, "the body could not be read from the connection"),
    code("unreadable_head", 400, "the head of the request is not HTTP"),
    code("wrong_type", 400, "a value has another type than the field"),
    code("not_found", 404, "the engine does not have the named thing"),
    code("unknown_model", 404, "there is no such model"),
    code("unknown_route", 404, "there is no such path"),
    code("unknown_source", 404, "there is no such source"),
    code("unknown_vector", 404, "there is no such vector"),
    code("method_not_allowed", 405, "the path takes another method"),
    code("too_slow", 408, "the head or the body of the request did not arrive in time"),
    code("another_folder", 409, "the request is for another data folder than the one of this server"),
    code("conflict", 409, "another process or an earlier state is in the way"),
    code("too_large", 413, "the body, or its number of records, exceeds a limit"),
    code("path_too_long", 414, "the path is longer than a head may be"),
    code("unsupported_media_type", 415, "the route does not take this content type or encoding"),
    code("nothing_accepted", 422, "a push of which no record is an event of the source; its records went to the dead-letter topic"),
    code("head_too_large", 431, "the head has more bytes or fields than a head may have"),
    code("corrupt", 500, "stored bytes are not what was written"),
    code("internal", 500, "a fault of Forebay: report it"),
    code("starting", 503, "the state is being restored"),
    code("stopping", 503, "the server stops"),
    code("too_busy", 503, "no memory for the body is free; nothing was done"),
    code("too_many_connections", 503, "the server has as many connections as it may have; nothing was done"),
    code("unavailable", 503, "the same request may succeed later; the message says why"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::CODES;

    /// The words that stand where a code does.
    fn used(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                used(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            for (before, _) in text.match_indices('"') {
                let starts = [
                    "Refusal::bad(",
                    "Refusal::unknown(",
                    "Refusal::unavailable(",
                    "code: ",
                    "SERVER_ERROR, ",
                    "BAD_REQUEST, ",
                    "CONFLICT, ",
                    "UNAVAILABLE, ",
                    "NOT_FOUND, ",
                    "{\"code\": ",
                    "=> (",
                    "            (",
                ];
                if starts.iter().any(|start| text[..before].ends_with(start)) {
                    found.insert(text[before + 1..].split('"').next().unwrap().to_owned());
                }
            }
        }
    }

    #[test]
    fn every_code_that_is_answered_is_listed_and_every_listed_one_is_answered() {
        let mut found = BTreeSet::new();
        used(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve"), &mut found);
        let listed: BTreeSet<String> = CODES.iter().map(|code| code.code.to_owned()).collect();
        assert_eq!(found, listed);
        assert!(CODES.is_sorted_by_key(|code| (code.status, code.code)));
    }
}
