//! Text to declarations as written. Parsing goes on after a problem: at the next `;`, and in lists at the next `,`.

mod cursor;
mod dialect;
mod features;
mod model;
mod shape;
mod source;
mod stream;
mod table;
mod token;
pub(crate) mod tree;
mod vector;
mod window;

use cursor::{Cursor, Parsed};
pub(crate) use token::{Lexed, Lexeme};
use tree::{Body, Declaration, EntityBody, Kind, Tokens, Tree};

use super::diagnostics::{Diagnostic, codes, nearest};
use super::source::SourceFile;

const DECLARATIONS: [(&str, Kind); 7] = [
    ("source", Kind::Source),
    ("entity", Kind::Entity),
    ("features", Kind::Features),
    ("vector", Kind::Vector),
    ("model", Kind::Model),
    ("stream", Kind::Stream),
    ("table", Kind::Table),
];

/// Parses one file; `index` is its place among the files that are compiled together.
pub(crate) fn parse(index: usize, file: &SourceFile, problems: &mut Vec<Diagnostic>) -> Tree {
    let lexed = token::lex(index, &file.text, problems);
    let mut declarations = Vec::new();
    for (tokens, ended) in shape::declarations(&file.text, &lexed.tokens) {
        let mut cursor = Cursor { text: &file.text, tokens: &lexed.tokens, next: tokens.start, end: tokens.end, problems: &mut *problems };
        declarations.push(declaration(&mut cursor, tokens, ended));
    }
    Tree { lexed, declarations }
}

fn declaration(cursor: &mut Cursor<'_>, tokens: Tokens, ended: bool) -> Declaration {
    let kind = DECLARATIONS.iter().find(|(word, _)| cursor.is(word)).map_or(Kind::Unknown, |(_, kind)| *kind);
    let name = (kind != Kind::Unknown)
        .then(|| cursor.peek_at(1))
        .flatten()
        .and_then(|token| token.word().map(|text| tree::Name { text: text.to_owned(), at: token.at }));
    let mut declaration = Declaration { tokens: tokens.clone(), body: None, kind, name };
    if kind == Kind::Unknown {
        unknown(cursor);
        return declaration;
    }
    if !shape::balanced(cursor, tokens.clone()) {
        return declaration;
    }
    if !ended {
        let last = cursor.tokens[tokens.end - 1].at;
        let problem = Diagnostic::error(codes::MISSING_SEMICOLON, last, "the declaration does not end with `;`", "`;` after this");
        cursor.report(problem);
    }
    cursor.next += 1;
    declaration.body = body(cursor, kind).ok();
    declaration
}

fn body(cursor: &mut Cursor<'_>, kind: Kind) -> Parsed<Body> {
    cursor.name("a name")?;
    let body = match kind {
        Kind::Source => Body::Source(source::source(cursor)?),
        Kind::Stream => Body::Stream(stream::stream(cursor)?),
        Kind::Table => Body::Table(table::table(cursor)?),
        Kind::Entity => Body::Entity(EntityBody { keys: cursor.columns()? }),
        Kind::Features => Body::Features(features::features(cursor)?),
        Kind::Vector => Body::Vector(vector::vector(cursor)?),
        Kind::Model => Body::Model(model::model(cursor)?),
        Kind::Unknown => return Err(cursor::Reported),
    };
    if !cursor.done() {
        cursor.expected("`;`");
    }
    Ok(body)
}

fn unknown(cursor: &mut Cursor<'_>) {
    let at = cursor.here();
    let words: Vec<_> = DECLARATIONS.iter().map(|(word, _)| *word).collect();
    let problem = Diagnostic::error(
        codes::UNKNOWN_DECLARATION,
        at,
        format!("`{}` starts no declaration", &cursor.text[at.start..at.end]),
        "expected a declaration",
    );
    let problem = match cursor.peek().and_then(Lexeme::word).and_then(|word| nearest(word, &words)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help("a declaration starts with source, table, stream, entity, features, vector or model"),
    };
    cursor.report(problem);
}

/// The tokens and comments of a file.
#[cfg(test)]
pub(crate) fn lexed(index: usize, file: &SourceFile) -> Lexed {
    token::lex(index, &file.text, &mut Vec::new())
}
