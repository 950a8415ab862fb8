//! Where declarations begin and end, before any of them is read.

use super::cursor::Cursor;
use super::tree::Tokens;
use super::{DECLARATIONS, Lexeme};
use crate::language::diagnostics::{Diagnostic, codes};
use sqlparser::tokenizer::Token;

/// The token ranges of a file's declarations, and whether each ended with `;`. A `;` ends one also within brackets,
/// where it has no other meaning; the first word of a line that starts a declaration does, too.
pub(super) fn declarations(text: &str, tokens: &[Lexeme]) -> Vec<(Tokens, bool)> {
    let mut found = Vec::new();
    let mut start = 0;
    for index in 0..tokens.len() {
        if tokens[index].sql.token == Token::SemiColon {
            if start < index {
                found.push((start..index, true));
            }
            start = index + 1;
        } else if start < index && begins(text, tokens, index) {
            found.push((start..index, false));
            start = index;
        }
    }
    if start < tokens.len() {
        found.push((start..tokens.len(), false));
    }
    found
}

/// Whether a declaration begins here although none was ended: at the first column, with a name after its word.
fn begins(text: &str, tokens: &[Lexeme], index: usize) -> bool {
    let token = &tokens[index];
    let first_column = text[..token.at.start].ends_with('\n');
    let named = tokens.get(index + 1).is_some_and(|next| next.word().is_some());
    let after =
        tokens.get(index + 2).is_some_and(|next| next.sql.token == Token::LParen || next.is_any(&["of", "on", "request", "from", "as"]));
    first_column && named && after && DECLARATIONS.iter().any(|(word, _)| token.is(word))
}

/// Whether the brackets of a declaration match; if not, says where.
pub(super) fn balanced(cursor: &mut Cursor<'_>, tokens: Tokens) -> bool {
    let mut open: Vec<usize> = Vec::new();
    for index in tokens {
        let token = &cursor.tokens[index];
        if token.opens() {
            open.push(index);
        } else if token.closes() {
            let matches = open.pop().is_some_and(|open| pair(&cursor.tokens[open].sql.token) == Some(&token.sql.token));
            if !matches {
                let at = token.at;
                cursor.fail(codes::UNBALANCED, at, "a bracket closes that was not opened", "closes nothing");
                return false;
            }
        }
    }
    let Some(open) = open.pop() else { return true };
    let at = cursor.tokens[open].at;
    let problem = Diagnostic::error(codes::UNBALANCED, at, "a bracket is not closed", "opened here")
        .help("close it before the `;` that ends the declaration");
    cursor.report(problem);
    false
}

fn pair(open: &Token) -> Option<&'static Token> {
    match open {
        Token::LParen => Some(&Token::RParen),
        Token::LBracket => Some(&Token::RBracket),
        Token::LBrace => Some(&Token::RBrace),
        _ => None,
    }
}
