//! Reading on through the tokens of one declaration: what the parsers of all declarations share.

use super::dialect::Expressions;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::token::Lexeme;
use super::tree::{Clause, Column, List, Name, Sql, Tokens, Unread};
use crate::language::diagnostics::{Code, Diagnostic, codes};
use crate::language::source::At;
use crate::time::Span;

/// Of functions that SQL calls without brackets, those that the language does not have.
const CALLED_BARE: [Keyword; 4] = [Keyword::USER, Keyword::CURRENT_USER, Keyword::SESSION_USER, Keyword::CURRENT_CATALOG];

/// The problem has been pushed; nothing is left to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

pub(super) type Parsed<T> = Result<T, Reported>;

pub(super) struct Cursor<'a> {
    pub text: &'a str,
    pub tokens: &'a [Lexeme],
    /// The next token.
    pub next: usize,
    /// Where the region that is being read ends.
    pub end: usize,
    pub problems: &'a mut Vec<Diagnostic>,
}

/// Words behind a column's type that say what integers count which stand for times; of the long ones the checker says how they
/// are written.
const EPOCHS: [&str; 12] =
    ["s", "ms", "us", "ns", "sec", "second", "seconds", "millis", "milliseconds", "micros", "microseconds", "nanoseconds"];

impl Cursor<'_> {
    /// A cursor over a part of the same tokens.
    pub(super) fn within(&mut self, tokens: Tokens) -> Cursor<'_> {
        Cursor { text: self.text, tokens: self.tokens, next: tokens.start, end: tokens.end, problems: self.problems }
    }

    pub(super) fn peek(&self) -> Option<&Lexeme> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&Lexeme> {
        self.tokens[..self.end].get(self.next + ahead)
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.is(word))
    }

    pub(super) fn are(&self, first: &str, second: &str) -> bool {
        self.is(first) && self.peek_at(1).is_some_and(|token| token.is(second))
    }

    pub(super) fn is_token(&self, token: &Token) -> bool {
        self.peek().is_some_and(|next| next.sql.token == *token)
    }

    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.next += usize::from(found);
        found
    }

    pub(super) fn eat_token(&mut self, token: &Token) -> bool {
        let found = self.is_token(token);
        self.next += usize::from(found);
        found
    }

    pub(super) fn done(&self) -> bool {
        self.next >= self.end
    }

    /// The place of the next token, or of the end of the last one.
    pub(super) fn here(&self) -> At {
        match (self.peek(), self.next.checked_sub(1).and_then(|last| self.tokens.get(last))) {
            (Some(token), _) => token.at,
            (None, Some(last)) => At { start: last.at.end.saturating_sub(1).max(last.at.start), ..last.at },
            (None, None) => At::default(),
        }
    }

    /// The place of a range of tokens; that of the token before it when it is empty.
    pub(super) fn at(&self, tokens: &Tokens) -> At {
        let Some(first) = self.tokens.get(tokens.start.min(self.tokens.len().saturating_sub(1))) else { return At::default() };
        if tokens.is_empty() {
            return tokens.start.checked_sub(1).map_or(first.at, |last| self.tokens[last].at);
        }
        first.at.to(self.tokens[tokens.end - 1].at)
    }

    pub(super) fn report(&mut self, problem: Diagnostic) -> Reported {
        self.problems.push(problem);
        Reported
    }

    pub(super) fn fail(&mut self, code: Code, at: At, message: impl Into<String>, label: impl Into<String>) -> Reported {
        self.report(Diagnostic::error(code, at, message, label))
    }

    /// Says that `what` should stand here.
    pub(super) fn expected(&mut self, what: &str) -> Reported {
        let found = self.peek().map(|token| format!("`{}`", &self.text[token.at.start..token.at.end]));
        let message = match found {
            Some(found) => format!("expected {what}, found {found}"),
            None => format!("expected {what}, found the end"),
        };
        let at = self.here();
        self.fail(codes::EXPECTED, at, message, format!("{what} here"))
    }

    pub(super) fn expect(&mut self, word: &str) -> Parsed<()> {
        if self.eat(word) { Ok(()) } else { Err(self.expected(&format!("`{word}`"))) }
    }

    pub(super) fn expect_token(&mut self, token: &Token) -> Parsed<()> {
        if self.eat_token(token) { Ok(()) } else { Err(self.expected(&format!("`{token}`"))) }
    }

    pub(super) fn name(&mut self, what: &str) -> Parsed<Name> {
        let Some(token) = self.peek() else { return Err(self.expected(what)) };
        let Some(text) = token.word().map(str::to_owned) else { return Err(self.expected(what)) };
        let name = Name { text, at: token.at };
        self.next += 1;
        Ok(name)
    }

    /// `a, b, c`
    pub(super) fn names(&mut self, what: &str) -> Parsed<Vec<Name>> {
        let mut names = vec![self.name(what)?];
        while self.eat_token(&Token::Comma) {
            names.push(self.name(what)?);
        }
        Ok(names)
    }

    pub(super) fn string(&mut self, what: &str) -> Parsed<Name> {
        let Some(token) = self.peek() else { return Err(self.expected(what)) };
        let Some(text) = token.string().map(str::to_owned) else { return Err(self.expected(what)) };
        let name = Name { text, at: token.at };
        self.next += 1;
        Ok(name)
    }

    /// A number as it is written.
    pub(super) fn number(&mut self, what: &str) -> Parsed<Name> {
        let Some(token) = self.peek() else { return Err(self.expected(what)) };
        let Some(text) = token.number().map(str::to_owned) else { return Err(self.expected(what)) };
        let name = Name { text, at: token.at };
        self.next += 1;
        Ok(name)
    }

    /// The tokens from the next on that follow one another without a blank: `1h30m`.
    fn adjacent(&self) -> Tokens {
        let mut end = self.next;
        while let Some(token) = self.tokens[..self.end].get(end) {
            let joined = end == self.next || self.tokens[end - 1].at.end == token.at.start;
            if !joined || (token.number().is_none() && token.word().is_none()) {
                break;
            }
            end += 1;
        }
        self.next..end
    }

    /// `10m` or `'10 minutes'`, with the text of the first.
    pub(super) fn duration(&mut self) -> Parsed<(Span, String)> {
        if self.is_token(&Token::Minus) {
            let start = self.next;
            self.next += 1;
            self.next = self.adjacent().end;
            let at = self.at(&(start..self.next));
            let problem = Diagnostic::error(codes::BAD_DURATION, at, "a duration cannot be negative", "negative");
            return Err(self.report(problem.help("write how long it is, without a sign: `10m`, '10 minutes'")));
        }
        let Some(token) = self.peek() else { return Err(self.expected("a duration such as `10m`")) };
        let (tokens, text) = match token.string() {
            Some(text) => (self.next..self.next + 1, text.to_owned()),
            None if token.number().is_some() => {
                let tokens = self.adjacent();
                let at = self.at(&tokens);
                (tokens, self.text[at.start..at.end].to_owned())
            }
            None => return Err(self.expected("a duration such as `10m` or '10 minutes'")),
        };
        let at = self.at(&tokens);
        self.next = tokens.end;
        match Span::parse(&text) {
            Some(_) if text.trim().ends_with('M') => {
                let message = format!("`{text}` could be minutes or months");
                let problem = Diagnostic::error(codes::BAD_DURATION, at, message, "`M` is no unit");
                let minutes = text.trim().replace('M', "m");
                Err(self.report(
                    problem.help(format!(
                        "minutes are written `{minutes}`; a window of months is `month`, `last month`, or so many days: `30d`"
                    )),
                ))
            }
            Some(span) => Ok((span, text.to_lowercase())),
            None if is_too_long(&text) => {
                let problem = Diagnostic::error(codes::BAD_DURATION, at, format!("`{text}` is longer than time is counted"), "too long");
                Err(self.report(problem.help(format!("the longest duration is {}d", i64::MAX / Span::DAY.0))))
            }
            None => {
                let problem = Diagnostic::error(codes::BAD_DURATION, at, format!("`{text}` is not a duration"), "not a duration");
                Err(self.report(problem.help("write a whole number and a unit of ms, s, m, h, d, w: `10m`, '10 minutes'")))
            }
        }
    }

    /// A duration longer than nothing.
    pub(super) fn positive_duration(&mut self, what: &str) -> Parsed<Span> {
        let at = self.here();
        let (span, _) = self.duration()?;
        if span.0 > 0 {
            Ok(span)
        } else {
            Err(self.fail(codes::BAD_DURATION, at, format!("{what} must be longer than nothing"), "no length"))
        }
    }

    /// The index of the bracket that closes the one at `open`; the declaration's brackets are known to match.
    pub(super) fn closing(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for index in open..self.end {
            depth += usize::from(self.tokens[index].opens());
            depth -= usize::from(self.tokens[index].closes());
            if depth == 0 {
                return index;
            }
        }
        self.end.saturating_sub(1)
    }

    /// The indices in `tokens` for which `cut` holds, outside of brackets and of `case .. end`.
    pub(super) fn cuts(&self, tokens: Tokens, cut: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut depth = 0usize;
        let mut found = Vec::new();
        for index in tokens {
            let token = &self.tokens[index];
            if depth == 0 && cut(index) {
                found.push(index);
            }
            if token.opens() || token.is("case") {
                depth += 1;
            } else if token.closes() || token.is("end") {
                depth = depth.saturating_sub(1);
            }
        }
        found
    }

    /// The parts of `tokens` between commas outside of brackets at which `splits` (given the comma's index) holds. An
    /// empty last part is left out: lists may end with a comma.
    pub(super) fn parts(&self, tokens: Tokens, splits: impl Fn(usize) -> bool) -> Vec<Tokens> {
        let mut parts = Vec::new();
        let mut start = tokens.start;
        for comma in self.cuts(tokens.clone(), |index| self.tokens[index].sql.token == Token::Comma && splits(index)) {
            parts.push(start..comma);
            start = comma + 1;
        }
        if start < tokens.end {
            parts.push(start..tokens.end);
        }
        parts
    }

    /// A list in brackets whose items `item` reads, each from its own tokens; one that fails leaves the list partial.
    pub(super) fn list<T>(
        &mut self,
        what: &str,
        splits: impl Fn(usize) -> bool,
        item: impl Fn(&mut Cursor<'_>) -> Parsed<T>,
    ) -> Parsed<List<T>> {
        if !self.is_token(&Token::LParen) {
            return Err(self.expected(&format!("`(` and {what}s")));
        }
        let (open, close) = (self.next, self.closing(self.next));
        let mut list = List { open, close, items: Vec::new(), partial: false };
        for part in self.parts(open + 1..close, splits) {
            let mut inner = self.within(part);
            let read =
                item(&mut inner).and_then(|read| if inner.done() { Ok(read) } else { Err(inner.expected(&format!("`,` after {what}"))) });
            match read {
                Ok(read) => list.items.push(read),
                Err(Reported) => list.partial = true,
            }
        }
        self.next = close + 1;
        if list.items.is_empty() && !list.partial {
            let at = self.at(&(open..close + 1));
            self.fail(codes::EMPTY_LIST, at, format!("the list holds no {what}"), format!("{what}s here"));
            list.partial = true;
        }
        Ok(list)
    }

    /// `name type, ..`
    pub(super) fn columns(&mut self) -> Parsed<List<Column>> {
        self.list(
            "column",
            |_| true,
            |inner| {
                let tokens = inner.next..inner.end;
                let name = inner.name("a column's name")?;
                let mut type_name = inner.name("the column's type")?;
                if inner.is_token(&Token::LParen) {
                    // No type has a size: the checker says so of `decimal(10, 2)`.
                    let close = inner.closing(inner.next);
                    type_name.at = type_name.at.to(inner.tokens[close].at);
                    inner.text[type_name.at.start..type_name.at.end].clone_into(&mut type_name.text);
                    inner.next = close + 1;
                }
                let list = inner.eat_token(&Token::LBracket);
                if list {
                    inner.expect_token(&Token::RBracket)?;
                }
                let is_epoch = !inner.done() && EPOCHS.iter().any(|word| inner.is(word));
                let epoch = if is_epoch { Some(inner.name("what integers count")?) } else { None };
                Ok(Column { name, type_name, list, epoch, tokens })
            },
        )
    }

    /// Reads an expression that fills `tokens`.
    pub(super) fn sql(&mut self, tokens: Tokens, what: &str) -> Sql {
        let at = self.at(&tokens);
        let mut sql = Sql { expr: None, tokens: tokens.clone(), at };
        if tokens.is_empty() {
            self.fail(codes::EXPECTED, at, format!("expected {what}"), format!("{what} after this"));
            return sql;
        }
        let operators = self.tokens[tokens.clone()].iter().filter(|token| is_operator(token)).count();
        if operators > OPERATORS_MAX {
            let message = format!("an expression has at most {OPERATORS_MAX} operators, and this one has {operators}");
            let problem = Diagnostic::error(codes::BAD_EXPRESSION, at, message, "too long");
            self.report(problem.help("name its parts: features of their own, or columns of a stream"));
            return sql;
        }
        let dialect = Expressions {};
        let pieces = self.tokens[tokens.clone()].iter().map(|token| plain_name(token.sql.clone())).collect();
        let mut parser = Parser::new(&dialect).with_tokens_with_locations(pieces);
        let parsed = parser.parse_expr();
        let stop = tokens.start + parser.index().min(tokens.len() - 1);
        match parsed {
            Ok(expr) if parser.peek_token().token == Token::EOF => sql.expr = Some(expr),
            Ok(_) => {
                let rest = self.text[self.tokens[stop].at.start..self.tokens[stop].at.end].to_owned();
                let problem = Diagnostic::error(
                    codes::BAD_EXPRESSION,
                    self.tokens[stop].at,
                    format!("`{rest}` does not continue the expression"),
                    "the expression ends before this",
                );
                self.report(problem.help(match self.tokens[tokens.start].is("distinct") {
                    true => "aggregates of distinct values have names of their own, such as `count_distinct(..)`",
                    false => "an operator, a comma or a clause's keyword may be missing",
                }));
            }
            Err(error) => {
                // The parser's own count of lines is of the file; the label shows the place.
                let last = tokens.start + parser.get_current_index().min(tokens.len() - 1);
                let message = reason(&error);
                let place = self.tokens[last].at;
                let problem = Diagnostic::error(codes::BAD_EXPRESSION, place, format!("{what} cannot be read: {message}"), "here");
                self.report(match &self.tokens[last].sql.token {
                    Token::Word(word) if word.keyword != Keyword::NoKeyword && word.quote_style.is_none() => {
                        problem.help(format!("a name that is a word of SQL stands in double quotes: `\"{}\"`", word.value))
                    }
                    _ => problem,
                });
            }
        }
        sql
    }

    /// Goes on at the next of these words, after a clause from `start` on that is wrong, so that what follows is still checked.
    pub(super) fn go_on(&mut self, start: usize, words: &[&str]) {
        let rest = (start + 1).max(self.next)..self.end;
        self.next = self.cuts(rest, |index| self.tokens[index].is_any(words)).first().copied().unwrap_or(self.end);
    }

    /// Notes which clause it is that begins at `start` and cannot be read; `words` begin clauses.
    pub(super) fn not_read(&self, start: usize, words: &[&'static str], unread: &mut Unread) {
        match words.iter().find(|word| self.tokens[start].is(word)) {
            Some(word) => unread.words.push(word),
            None => unread.unknown = true,
        }
    }

    /// What was read from `start` on, as a clause.
    pub(super) fn clause<T>(&self, start: usize, value: T) -> Clause<T> {
        let tokens = start..self.next;
        Clause { value, at: self.at(&tokens), tokens }
    }

    /// Puts a clause into its place, or says that it stands there twice.
    pub(super) fn once<T>(&mut self, place: &mut Option<Clause<T>>, clause: Clause<T>, name: &str) {
        match place {
            Some(first) => {
                let problem = Diagnostic::error(codes::REPEATED_CLAUSE, clause.at, format!("`{name}` is written twice"), "again here");
                let problem = problem.also(first.at, "first here").help("keep one of them");
                self.report(problem);
            }
            None => *place = Some(clause),
        }
    }
}

/// Whether a text would be a duration if its numbers were smaller.
fn is_too_long(text: &str) -> bool {
    let ones = text.split(|letter: char| letter.is_ascii_digit()).filter(|piece| !piece.is_empty()).map(|piece| format!("1{piece}"));
    text.starts_with(|letter: char| letter.is_ascii_digit()) && Span::parse(&ones.collect::<String>()).is_some()
}

/// A word that SQL calls as a function without brackets becomes a name, as in `user.country`.
fn plain_name(mut token: TokenWithSpan) -> TokenWithSpan {
    if let Token::Word(word) = &mut token.token
        && CALLED_BARE.contains(&word.keyword)
    {
        word.keyword = Keyword::NoKeyword;
    }
    token
}

fn reason(error: &ParserError) -> String {
    let message = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
        ParserError::RecursionLimitExceeded => "it is nested too deeply".to_owned(),
    };
    let message = message.split(" at Line:").next().unwrap_or_default().replace("Expected: ", "expected ").replace(", found: ", ", found ");
    message.replace("found EOF", "found the end")
}

/// Whoever reads an expression goes down as many calls as operators stand in a row.
const OPERATORS_MAX: usize = 200;

fn is_operator(token: &Lexeme) -> bool {
    let sign = matches!(
        token.sql.token,
        Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::StringConcat
            | Token::DoubleColon
            | Token::LBracket
    );
    sign || token.is_any(&["and", "or", "not", "is", "like", "between"])
}
