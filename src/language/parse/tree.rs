//! What a file says, as written: names unresolved, types unchecked. Ranges of tokens stand where `format` writes text
//! back and where expressions are.

use std::ops::Range;

use sqlparser::ast::Expr;

use super::token::Lexed;
use crate::language::source::At;
use crate::plan;
use crate::time::Span;

/// Indices into the file's tokens.
pub(crate) type Tokens = Range<usize>;

/// A parsed file.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub lexed: Lexed,
    pub declarations: Vec<Declaration>,
}

#[derive(Clone, Debug)]
pub(crate) struct Declaration {
    /// Without the semicolon.
    pub tokens: Tokens,
    /// `None`: what it declares could not be read, which was reported.
    pub body: Option<Body>,
    /// Known also where the body is not, so that its users are not reported.
    pub kind: Kind,
    pub name: Option<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Source,
    Table,
    Stream,
    Entity,
    Features,
    Vector,
    Model,
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Source(SourceBody),
    Table(TableBody),
    Stream(StreamBody),
    Entity(EntityBody),
    Features(FeaturesBody),
    Vector(VectorBody),
    Model(ModelBody),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub text: String,
    pub at: At,
}

/// An expression; `expr` is `None` when it could not be read, which was reported.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    pub expr: Option<Expr>,
    pub tokens: Tokens,
    pub at: At,
}

/// A list in brackets: the tokens of its brackets and its items.
#[derive(Clone, Debug)]
pub(crate) struct List<T> {
    pub open: usize,
    pub close: usize,
    pub items: Vec<T>,
    /// Some item could not be read, which was reported.
    pub partial: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub name: Name,
    pub type_name: Name,
    /// The type is a list of that type: `double[]`.
    pub list: bool,
    /// What integers count: the `ms` of `timestamp ms`.
    pub epoch: Option<Name>,
    pub tokens: Tokens,
}

/// A clause's value with the clause's tokens.
#[derive(Clone, Debug)]
pub(crate) struct Clause<T> {
    pub value: T,
    pub tokens: Tokens,
    pub at: At,
}

/// Clauses of a declaration that could not be read, which was reported: that they are missing is not said as well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unread {
    /// The words that they begin with.
    pub words: Vec<&'static str>,
    /// Some began with a word that begins none: it may have been meant as any.
    pub unknown: bool,
}

impl Unread {
    /// Whether a clause may have been written that begins with this word.
    pub(crate) fn may_be(&self, word: &str) -> bool {
        self.unknown || self.words.contains(&word)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct SourceBody {
    pub columns: Option<List<Column>>,
    pub from: Option<Clause<From>>,
    pub partitions: Option<Clause<Partitions>>,
    pub format: Option<Clause<Name>>,
    pub event_time: Option<Clause<Name>>,
    pub lateness: Option<Clause<Span>>,
    pub max_ahead: Option<Clause<Span>>,
    pub history: Option<Clause<Span>>,
    pub dedup: Option<Clause<Dedup>>,
    pub expects: Vec<Clause<Expect>>,
    pub deletes: Option<Clause<Sql>>,
    /// `deletes on tombstone`
    pub tombstones: Option<Clause<()>>,
    pub unread: Unread,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct TableBody {
    pub columns: Option<List<Column>>,
    /// A path, as written.
    pub from: Option<Clause<Name>>,
    pub keys: Option<Clause<Vec<Name>>>,
    pub time: Option<Clause<Name>>,
    pub unread: Unread,
}

#[derive(Clone, Debug)]
pub(crate) struct From {
    pub kafka: bool,
    pub topic: Name,
}

#[derive(Clone, Debug)]
pub(crate) struct Partitions {
    pub count: Name,
    pub by: Vec<Name>,
}

#[derive(Clone, Debug)]
pub(crate) struct Dedup {
    pub columns: Vec<Name>,
    pub within: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Expect {
    pub condition: Sql,
}

#[derive(Clone, Debug)]
pub(crate) struct EntityBody {
    pub keys: List<Column>,
}

#[derive(Clone, Debug)]
pub(crate) struct StreamBody {
    pub selects: Vec<Select>,
    /// Some part could not be read, which was reported.
    pub partial: bool,
}

/// `select .. from .. where ..`
#[derive(Clone, Debug)]
pub(crate) struct Select {
    pub items: Vec<SelectItem>,
    pub source: Name,
    pub filter: Option<Clause<Sql>>,
    pub tokens: Tokens,
}

#[derive(Clone, Debug)]
pub(crate) struct SelectItem {
    /// `None` is `*`.
    pub sql: Option<Sql>,
    /// Whether `sql` is what stands in the brackets of `unnest(..)`.
    pub is_unnest: bool,
    pub name: Option<Name>,
    pub tokens: Tokens,
    pub at: At,
}

#[derive(Clone, Debug)]
pub(crate) struct FeaturesBody {
    pub entity: Name,
    pub by: Vec<Name>,
    pub source: Name,
    pub ttl: Option<Clause<Span>>,
    pub items: List<FeatureItem>,
}

/// One line of a view: one feature for each window.
#[derive(Clone, Debug)]
pub(crate) struct FeatureItem {
    pub name: Name,
    pub what: FeatureWhat,
    pub filter: Option<Clause<Sql>>,
    pub by: Option<Clause<By>>,
    /// Empty: lifetime.
    pub over: Vec<WindowItem>,
    pub over_tokens: Option<Tokens>,
    pub default: Option<Clause<Sql>>,
    pub tokens: Tokens,
}

#[derive(Clone, Debug)]
pub(crate) enum FeatureWhat {
    Aggregate(Call),
    /// An expression over other features; with the function's name where it is a single call.
    Expression {
        sql: Sql,
        call: Option<Name>,
    },
}

/// `by key limit 32 by value`
#[derive(Clone, Debug)]
pub(crate) struct By {
    pub key: Sql,
    pub limit: Option<Name>,
    pub by_value: bool,
}

/// An aggregate call. `count(*)` has no arguments and `star`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub function: Name,
    pub arguments: Vec<Sql>,
    pub star: bool,
    pub tokens: Tokens,
    pub at: At,
}

#[derive(Clone, Debug)]
pub(crate) struct WindowItem {
    pub tokens: Tokens,
    pub at: At,
    /// `None`: one that is wrong, which was reported.
    pub window: Option<Window>,
}

#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub window: plan::Window,
    /// What is appended to the feature's name, such as `_1h`.
    pub suffix: String,
    pub alias: Option<Name>,
}

#[derive(Clone, Debug)]
pub(crate) struct VectorBody {
    pub on: Option<Name>,
    pub request: Option<Clause<List<Column>>>,
    pub items: List<VectorItem>,
}

#[derive(Clone, Debug)]
pub(crate) struct VectorItem {
    pub tokens: Tokens,
    pub at: At,
    pub what: VectorWhat,
    /// `for key = column and ..`
    pub role: Vec<(Name, Name)>,
    pub role_at: Option<At>,
    pub default: Option<Clause<Sql>>,
}

#[derive(Clone, Debug)]
pub(crate) enum VectorWhat {
    /// `view.* as prefix_*`
    Star { view: Name, prefix: Option<String> },
    /// `name = expression`, or a name alone
    Column { name: Option<Name>, sql: Sql },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ModelBody {
    pub from: Option<Clause<Name>>,
    pub sha256: Option<Clause<Name>>,
    pub takes: Option<Clause<Name>>,
    pub output: Option<Clause<Output>>,
    pub also: Option<Clause<Vec<Name>>>,
    pub runs: Vec<Clause<Runs>>,
    pub score: Option<Clause<Score>>,
    pub label: Option<Clause<()>>,
    pub watch: Option<Clause<Watch>>,
    pub unread: Unread,
}

/// `output 'name' class 'label'`, `output column 2`
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub name: Option<Name>,
    pub part: Option<plan::Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    RowByRow,
    WithChance,
}

#[derive(Clone, Debug)]
pub(crate) struct Score {
    pub source: Name,
    pub topic: Name,
}

#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub every: Span,
    pub profile: Name,
    pub alerts: Vec<Alert>,
    pub except: Vec<Name>,
    pub unless: Vec<Unless>,
    pub topic: Name,
}

/// `metric > number`, or `metric(column, ..) > number`
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub metric: Name,
    pub columns: Vec<Name>,
    pub threshold: f64,
}

/// `rows < number`, or `p_value > number`
#[derive(Clone, Debug)]
pub(crate) struct Unless {
    pub what: Name,
    pub number: Name,
}
