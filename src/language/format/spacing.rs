//! Tokens with one space where one belongs, SQL's words in lower case, everything else as written.

use sqlparser::tokenizer::Token;

use crate::language::parse::Lexeme;

/// Words that are operators or parts of syntax: a bracket after them stands apart.
const SYNTAX: [&str; 32] = [
    "and", "or", "not", "in", "is", "null", "true", "false", "between", "like", "ilike", "similar", "to", "escape", "case", "when", "then",
    "else", "end", "as", "from", "for", "at", "by", "limit", "interval", "any", "some", "where", "over", "default", "within",
];

/// The tokens of an expression or clause as one line.
pub(super) fn spaced(text: &str, tokens: &[Lexeme]) -> String {
    let mut line = String::new();
    for (index, token) in tokens.iter().enumerate() {
        if index > 0 && apart(tokens, index) {
            line.push(' ');
        }
        line.push_str(&word(text, tokens, index, token));
    }
    line
}

fn word(text: &str, tokens: &[Lexeme], index: usize, token: &Lexeme) -> String {
    let written = &text[token.at.start..token.at.end];
    let quoted = matches!(&token.sql.token, Token::Word(word) if word.quote_style.is_some());
    if token.word().is_none() || quoted {
        return written.to_owned();
    }
    let called = tokens.get(index + 1).is_some_and(|next| next.sql.token == Token::LParen);
    let after_cast = index > 0 && tokens[index - 1].sql.token == Token::DoubleColon;
    // Words in mixed case may be names.
    let shouted = written.bytes().all(|letter| !letter.is_ascii_lowercase());
    let qualified = index > 0 && tokens[index - 1].sql.token == Token::Period;
    if !qualified && (called || after_cast || (shouted && token.is_any(&SYNTAX))) { written.to_lowercase() } else { written.to_owned() }
}

/// Whether a space stands before the token at `index`.
fn apart(tokens: &[Lexeme], index: usize) -> bool {
    let (before, token) = (&tokens[index - 1], &tokens[index]);
    let (left, right) = (&before.sql.token, &token.sql.token);
    if matches!(
        right,
        Token::Comma | Token::RParen | Token::RBracket | Token::Period | Token::DoubleColon | Token::Colon | Token::SemiColon
    ) || matches!(left, Token::LParen | Token::LBracket | Token::Period | Token::DoubleColon)
    {
        return false;
    }
    if before.number().is_some() && token.word().is_some() && before.at.end == token.at.start {
        return false;
    }
    match right {
        Token::LParen => before.word().is_none_or(|_| before.is_any(&SYNTAX)) && !matches!(left, Token::RParen),
        Token::LBracket => before.word().is_none() && !before.closes(),
        _ => !(matches!(left, Token::Minus | Token::Plus) && signs(tokens, index - 1)),
    }
}

/// Whether the plus or minus at `index` is a sign and no operator.
fn signs(tokens: &[Lexeme], index: usize) -> bool {
    let Some(before) = index.checked_sub(1).map(|before| &tokens[before]) else { return true };
    let operand =
        before.closes() || before.number().is_some() || before.string().is_some() || (before.word().is_some() && !before.is_any(&SYNTAX));
    !operand || before.is_any(&["and", "or", "not", "in", "between", "like", "when", "then", "else", "case"])
}
