//! Whatever is wrong with a request, on whatever route: it is refused in one form, a status that says whose fault it is, a code
//! and a message, and the server answers on.

use forebay_integration::harness::{Project, Server};
use forebay_integration::raw::{Answer, DEFINITIONS, EVENTS, LOOKUP, Raw};

const POSTS: [&str; 2] = [LOOKUP, EVENTS];
const GETS: [&str; 6] = ["/v1/catalog", "/v1/status", "/health/live", "/health/ready", "/metrics", "/openapi.json"];

fn ask(server: &Server, request: impl AsRef<[u8]>) -> Answer {
    let mut raw = Raw::connect(&server.address);
    raw.send(request);
    raw.answer().unwrap_or_else(|| panic!("no answer; it said:\n{}", server.said()))
}

/// A request with a body and these fields in its head.
fn with(method: &str, path: &str, fields: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: here\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

fn refused(answer: &Answer, status: u16, code: &str, of: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{of}: {answer:?}");
}

#[test]
fn bodies_that_are_something_else_are_refused_on_every_route() {
    let project = Project::new(DEFINITIONS);
    let server = project.serve();
    let json = "content-type: application/json\r\n";
    let types = ["text/csv", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "application/gzip", "x"];
    for path in POSTS {
        for content_type in types {
            let answer = ask(&server, with("POST", path, &format!("content-type: {content_type}\r\n"), "k,x\n1,2\n"));
            refused(&answer, 415, "unsupported_media_type", &format!("{path} {content_type}"));
        }
        for encoding in ["gzip", "br", "zstd", "gzip, identity"] {
            let answer = ask(&server, with("POST", path, &format!("{json}content-encoding: {encoding}\r\n"), "{}"));
            refused(&answer, 415, "unsupported_media_type", &format!("{path} {encoding}"));
        }
        refused(&ask(&server, with("POST", &format!("{path}?as_of=1"), json, "{}")), 400, "unknown_query", path);
        let bad_chunk = format!("POST {path} HTTP/1.1\r\nhost: here\r\n{json}transfer-encoding: chunked\r\n\r\nzz\r\n");
        refused(&ask(&server, bad_chunk), 400, "unreadable_body", path);
        let too_large = format!("POST {path} HTTP/1.1\r\nhost: here\r\n{json}content-length: 99999999999\r\n\r\n");
        refused(&ask(&server, too_large), 413, "too_large", path);
    }
    for (path, body, status, code) in [
        (LOOKUP, "", 400, "invalid_json"),
        (LOOKUP, "[]", 400, "wrong_type"),
        (LOOKUP, r#"{"keys":[{"k":1}],"request":[]}"#, 400, "length_mismatch"),
        (LOOKUP, r#"{"keys":[{"k":1}],"request":{}}"#, 400, "wrong_type"),
        (EVENTS, "", 400, "empty_body"),
        (EVENTS, "[]", 400, "empty_body"),
        (EVENTS, "[{}", 400, "invalid_json"),
        (EVENTS, "k,x\n1,2\n", 422, "nothing_accepted"),
        (EVENTS, "{}{}", 422, "nothing_accepted"),
    ] {
        refused(&ask(&server, with("POST", path, json, body)), status, code, body);
    }
    let receipt = ask(&server, with("POST", EVENTS, json, "[{},{}]")).json();
    assert_eq!((&receipt["rejected"], receipt["positions"][0]["offset"].is_u64()), (&serde_json::json!(2), true), "{receipt}");
    let curl = ask(&server, with("POST", EVENTS, "content-type: application/x-www-form-urlencoded\r\n", "{}{}"));
    assert!(curl.body.contains("--data-binary"), "{curl:?}");
    // `-d @FILE` takes the line breaks out, whatever the head says.
    for content_type in ["", "content-type: application/json\r\n", "content-type: application/x-ndjson\r\n"] {
        for (body, joined) in [("{\"k\":\"}{\"}{}", true), ("{\"k\":\"}{\"}", false), ("{}\n{}\n", false)] {
            let answer = ask(&server, with("POST", EVENTS, content_type, body));
            refused(&answer, 422, "nothing_accepted", body);
            assert_eq!(answer.body.contains("--data-binary"), joined, "{content_type}{body}: {answer:?}");
        }
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn methods_paths_and_heads_that_are_wrong_are_refused_in_one_form() {
    let project = Project::new(DEFINITIONS);
    let server = project.serve();
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO"] {
        for path in POSTS.iter().chain(&GETS) {
            let answer = ask(&server, with(method, path, "", ""));
            refused(&answer, 405, "method_not_allowed", &format!("{method} {path}"));
            let allow = if POSTS.contains(path) { "allow: post" } else { "allow: get, head" };
            assert!(answer.head.contains(allow), "{answer:?}");
        }
        refused(&ask(&server, with(method, "/nothing", "", "")), 404, "unknown_route", method);
    }
    for path in POSTS {
        refused(&ask(&server, with("GET", path, "", "")), 405, "method_not_allowed", path);
    }
    for path in GETS {
        refused(&ask(&server, with("POST", path, "", "{}")), 405, "method_not_allowed", path);
    }
    let json = "content-type: application/json\r\n";
    for (path, status, code) in [
        ("/v1/vectors/%ff/lookup", 400, "invalid_path"),
        ("/v1/sources/%c3%28/events", 400, "invalid_path"),
        ("/v1/vectors/none/lookup", 404, "unknown_vector"),
        ("/v1/models/none/score", 404, "unknown_model"),
        ("/v1/vectors//lookup", 404, "unknown_vector"),
        ("/%ff", 404, "unknown_route"),
        ("/v1/vectors/%00%0d%0a/lookup", 404, "unknown_vector"),
    ] {
        refused(&ask(&server, with("POST", path, json, r#"{"keys":[]}"#)), status, code, path);
    }
    for (head, status, code) in [
        ("GARBAGE\r\n\r\n".to_owned(), 400, "unreadable_head"),
        ("GET / HTTP/1.1\r\nno field\r\n\r\n".to_owned(), 400, "unreadable_head"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400, "unreadable_head"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400, "unreadable_head"),
        ("\u{16}\u{3}\u{1}\0\u{5}tls\r\n\r\n".to_owned(), 400, "unreadable_head"),
        ("GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(), 400, "unreadable_head"),
        (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(200_000)), 431, "head_too_large"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200)), 431, "head_too_large"),
    ] {
        refused(&ask(&server, &head), status, code, &head[..head.len().min(60)]);
    }
    let counted = server.metric("forebay_http_requests_total", "route=\"unknown\"");
    assert!(counted >= 10.0, "{counted} refusals are counted");
    assert_eq!(server.stop(), Some(0));
}
