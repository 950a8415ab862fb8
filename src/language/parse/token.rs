//! Text to tokens with byte ranges. Tokens, literals and comments are SQL's: `sqlparser` reads them.

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::source::At;

/// A token that is neither blank nor comment.
#[derive(Clone, Debug)]
pub(crate) struct Lexeme {
    /// With its line and column in the whole file, as the expression parser and planner report places.
    pub sql: TokenWithSpan,
    pub at: At,
}

#[derive(Clone, Debug)]
pub(crate) struct Lexed {
    pub tokens: Vec<Lexeme>,
    pub comments: Vec<At>,
}

/// Tokenises a whole file. A token that cannot be read is reported and the rest of its line skipped.
pub(super) fn lex(file: usize, text: &str, problems: &mut Vec<Diagnostic>) -> Lexed {
    let mut lexed = Lexed { tokens: Vec::new(), comments: Vec::new() };
    let mut base = 0;
    let mut lines_before = 0;
    while base < text.len() {
        let rest = &text[base..];
        let mut found = Vec::new();
        let outcome = Tokenizer::new(&GenericDialect {}, rest).tokenize_with_location_into_buf(&mut found);
        let mut places = Places::new(rest, base);
        for mut token in found {
            let at = At { file, start: places.byte(token.span.start), end: places.byte(token.span.end) };
            token.span.start.line += lines_before;
            token.span.end.line += lines_before;
            match token.token {
                Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
                    lexed.comments.push(trim_end(text, at))
                }
                Token::Whitespace(_) | Token::EOF => {}
                Token::Char(letter) => {
                    problems.push(Diagnostic::error(codes::UNREADABLE, at, format!("`{letter}` has no meaning here"), "remove it"))
                }
                _ => lexed.tokens.push(Lexeme { sql: token, at }),
            }
        }
        let Err(error) = outcome else { break };
        let start = places.byte(error.location).min(text.len().saturating_sub(1));
        let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        let at = At { file, start, end: line_end.max(start + 1).min(text.len()) };
        let message = error.message.to_lowercase();
        problems.push(
            Diagnostic::error(codes::UNREADABLE, at, message, "starts here and has no end")
                .help("close it with the same quote or with `*/`"),
        );
        if error.message.contains("string") {
            // Stands for the text that was meant, so that what is around it is not reported, too.
            let location = Location { line: error.location.line + lines_before, ..error.location };
            lexed.tokens.push(Lexeme { sql: TokenWithSpan::at(Token::SingleQuotedString(String::new()), location, location), at });
        }
        let next = (line_end + 1).min(text.len());
        lines_before += text[base..next].matches('\n').count() as u64;
        base = next;
    }
    lexed
}

/// A comment without the line end that the tokenizer counts to it.
fn trim_end(text: &str, at: At) -> At {
    At { end: at.start + text[at.start..at.end].trim_end().len(), ..at }
}

/// Bytes of rising locations, in one pass over the text.
struct Places<'a> {
    rest: std::str::Chars<'a>,
    base: usize,
    length: usize,
    line: u64,
    column: u64,
}

impl<'a> Places<'a> {
    fn new(text: &'a str, base: usize) -> Self {
        Self { rest: text.chars(), base, length: text.len(), line: 1, column: 1 }
    }

    fn byte(&mut self, to: Location) -> usize {
        while (self.line, self.column) < (to.line, to.column) {
            match self.rest.next() {
                Some('\n') => (self.line, self.column) = (self.line + 1, 1),
                Some(_) => self.column += 1,
                None => break,
            }
        }
        self.base + self.length - self.rest.as_str().len()
    }
}

impl Lexeme {
    /// Whether this is the unquoted word `word` (given in lower case).
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(&self.sql.token, Token::Word(own) if own.quote_style.is_none() && own.value.eq_ignore_ascii_case(word))
    }

    pub(crate) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// An identifier, quoted or not.
    pub(crate) fn word(&self) -> Option<&str> {
        match &self.sql.token {
            Token::Word(word) => Some(&word.value),
            _ => None,
        }
    }

    pub(crate) fn string(&self) -> Option<&str> {
        match &self.sql.token {
            Token::SingleQuotedString(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<&str> {
        match &self.sql.token {
            Token::Number(text, _) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn opens(&self) -> bool {
        matches!(self.sql.token, Token::LParen | Token::LBracket | Token::LBrace)
    }

    pub(crate) fn closes(&self) -> bool {
        matches!(self.sql.token, Token::RParen | Token::RBracket | Token::RBrace)
    }
}
