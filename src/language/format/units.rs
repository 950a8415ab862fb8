//! Declarations as units: the lines of the result, each with the place in the source that it comes from.

use super::spacing::spaced;
use crate::language::parse::Lexeme;
use crate::language::parse::tree::{
    Alert, Body, Call, Clause, Declaration, FeatureItem, FeatureWhat, FeaturesBody, List, ModelBody, Name, SourceBody, Sql, StreamBody,
    TableBody, Tokens, Unless, VectorBody, Watch,
};
use crate::language::source::At;

#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub at: At,
    pub text: String,
    pub indent: usize,
    /// Where in the declaration it is written.
    pub place: usize,
    /// An item of a list: a comma follows it.
    pub item: bool,
    /// As in the source, with the comments in it.
    pub verbatim: bool,
}

/// Places of units in a declaration; clauses follow from `CLAUSES` on.
const HEAD: usize = 0;
const ITEMS: usize = 1;
const CLOSE: usize = 2;
const CLAUSES: usize = 3;

/// The units of a declaration in the order of the source.
pub(super) fn units(text: &str, tokens: &[Lexeme], declaration: &Declaration) -> Vec<Unit> {
    let writer = Writer { text, tokens };
    let mut units = match &declaration.body {
        Some(Body::Source(body)) => writer.source(declaration, body),
        Some(Body::Table(body)) => writer.table(declaration, body),
        Some(Body::Stream(body)) => writer.stream(declaration, body),
        Some(Body::Features(body)) => writer.features(declaration, body),
        Some(Body::Vector(body)) => writer.vector(declaration, body),
        Some(Body::Model(body)) => writer.model(declaration, body),
        Some(Body::Entity(body)) => {
            let columns: Vec<_> = body.keys.items.iter().map(|column| writer.spaced(&column.tokens)).collect();
            let line = format!("entity {} ({})", writer.name(declaration), columns.join(", "));
            vec![writer.unit(declaration.tokens.clone(), line, HEAD)]
        }
        None => {
            let at = writer.at(&declaration.tokens);
            vec![Unit { verbatim: true, ..writer.unit(declaration.tokens.clone(), text[at.start..at.end].to_owned(), HEAD) }]
        }
    };
    units.sort_by_key(|unit| unit.at.start);
    units
}

struct Writer<'a> {
    text: &'a str,
    tokens: &'a [Lexeme],
}

impl Writer<'_> {
    fn at(&self, tokens: &Tokens) -> At {
        self.tokens[tokens.start].at.to(self.tokens[tokens.end - 1].at)
    }

    fn spaced(&self, tokens: &Tokens) -> String {
        spaced(self.text, &self.tokens[tokens.clone()])
    }

    fn slice(&self, at: At) -> &str {
        &self.text[at.start..at.end]
    }

    fn name(&self, declaration: &Declaration) -> String {
        declaration.name.as_ref().map_or_else(String::new, |name| self.slice(name.at).to_owned())
    }

    fn unit(&self, tokens: Tokens, text: String, place: usize) -> Unit {
        Unit { at: self.at(&tokens), text, indent: 0, place, item: false, verbatim: false }
    }

    fn item(&self, tokens: &Tokens, text: String) -> Unit {
        Unit { indent: 2, item: true, ..self.unit(tokens.clone(), text, ITEMS) }
    }

    /// The head up to the list's bracket, the items, and the bracket that closes it.
    fn list<T>(&self, declaration: &Declaration, head: String, list: &List<T>, item: impl Fn(&T) -> (Tokens, String)) -> Vec<Unit> {
        let mut units = vec![self.unit(declaration.tokens.start..list.open + 1, head, HEAD)];
        for (tokens, text) in list.items.iter().map(item) {
            units.push(self.item(&tokens, text));
        }
        units.push(self.unit(list.close..list.close + 1, ")".to_owned(), CLOSE));
        units
    }

    /// A clause: its own words, then its tokens after the first `skip`.
    fn clause<T>(&self, clause: &Clause<T>, words: &str, skip: usize, place: usize) -> Unit {
        let rest = self.spaced(&(clause.tokens.start + skip..clause.tokens.end));
        self.unit(clause.tokens.clone(), format!("{words} {rest}"), CLAUSES + place)
    }

    fn source(&self, declaration: &Declaration, body: &SourceBody) -> Vec<Unit> {
        let Some(columns) = &body.columns else { return Vec::new() };
        let head = format!("source {} (", self.name(declaration));
        let mut units = self.list(declaration, head, columns, |column| (column.tokens.clone(), self.spaced(&column.tokens)));
        if let Some(from) = &body.from {
            let system = if from.value.kafka { "kafka topic" } else { "log" };
            units.push(self.unit(from.tokens.clone(), format!("from {system} {}", self.slice(from.value.topic.at)), CLAUSES));
        }
        if let Some(partitions) = &body.partitions {
            let count = &partitions.value.count.text;
            units.push(match partitions.value.by.is_empty() {
                true => self.unit(partitions.tokens.clone(), format!("partitions {count}"), CLAUSES + 1),
                false => self.clause(partitions, &format!("partitions {count} by"), 3, 1),
            });
        }
        units.extend(body.format.as_ref().map(|clause| self.clause(clause, "format", 1, 2)));
        units.extend(body.event_time.as_ref().map(|clause| self.clause(clause, "event time", 2, 3)));
        units.extend(body.lateness.as_ref().map(|clause| self.clause(clause, "lateness", 1, 4)));
        units.extend(body.max_ahead.as_ref().map(|clause| self.clause(clause, "max ahead", 2, 5)));
        units.extend(body.history.as_ref().map(|clause| self.clause(clause, "history", 1, 6)));
        if let Some(dedup) = &body.dedup {
            let columns: Vec<_> = dedup.value.columns.iter().map(|name| self.slice(name.at)).collect();
            let within = dedup.tokens.clone().rev().find(|index| self.tokens[*index].is("within")).unwrap_or(dedup.tokens.start);
            let length = self.spaced(&(within + 1..dedup.tokens.end));
            units.push(self.unit(dedup.tokens.clone(), format!("dedup by {} within {length}", columns.join(", ")), CLAUSES + 7));
        }
        for expect in &body.expects {
            let condition = self.spaced(&expect.value.condition.tokens);
            units.push(self.unit(expect.tokens.clone(), format!("expect {condition} else quarantine"), CLAUSES + 8));
        }
        units.extend(body.deletes.as_ref().map(|clause| self.clause(clause, "deletes when", 2, 9)));
        let tombstones = body.tombstones.as_ref();
        units.extend(tombstones.map(|clause| self.unit(clause.tokens.clone(), "deletes on tombstone".to_owned(), CLAUSES + 10)));
        units
    }

    fn table(&self, declaration: &Declaration, body: &TableBody) -> Vec<Unit> {
        let Some(columns) = &body.columns else { return Vec::new() };
        let head = format!("table {} (", self.name(declaration));
        let mut units = self.list(declaration, head, columns, |column| (column.tokens.clone(), self.spaced(&column.tokens)));
        units.extend(body.from.as_ref().map(|clause| self.clause(clause, "from parquet", 2, 0)));
        units.extend(body.keys.as_ref().map(|clause| self.clause(clause, "key", 1, 1)));
        units.extend(body.time.as_ref().map(|clause| self.clause(clause, "time", 1, 2)));
        units
    }

    /// The head, and a line for each part and for what stands between them.
    fn stream(&self, declaration: &Declaration, body: &StreamBody) -> Vec<Unit> {
        let start = declaration.tokens.start;
        let mut units = vec![self.unit(start..start + 3, format!("stream {} as", self.name(declaration)), HEAD)];
        let mut end = start + 3;
        for select in &body.selects {
            if end < select.tokens.start {
                units.push(self.unit(end..select.tokens.start, "union all".to_owned(), units.len()));
            }
            let items: Vec<_> = select.items.iter().map(|item| self.spaced(&item.tokens)).collect();
            let mut line = format!("select {} from {}", items.join(", "), self.slice(select.source.at));
            if let Some(filter) = &select.filter {
                line.push_str(&format!(" where {}", self.spaced(&filter.value.tokens)));
            }
            units.push(self.unit(select.tokens.clone(), line, units.len()));
            end = select.tokens.end;
        }
        for unit in units.iter_mut().skip(1) {
            unit.indent = 2;
        }
        units
    }

    fn features(&self, declaration: &Declaration, body: &FeaturesBody) -> Vec<Unit> {
        let mut head = format!("features {} of {}", self.name(declaration), self.slice(body.entity.at));
        if !body.by.is_empty() {
            let columns: Vec<_> = body.by.iter().map(|name| self.slice(name.at)).collect();
            head.push_str(&format!(" by {}", columns.join(", ")));
        }
        head.push_str(&format!(" from {}", self.slice(body.source.at)));
        if let Some(ttl) = &body.ttl {
            head.push_str(&format!(" ttl {}", self.spaced(&(ttl.tokens.start + 1..ttl.tokens.end))));
        }
        head.push_str(" (");
        let mut units = self.list(declaration, head, &body.items, |item| (item.tokens.clone(), self.feature(item)));
        // A `ttl` behind the list moves before it; what is behind the list stays part of its end.
        if let (Some(ttl), Some(close)) = (&body.ttl, units.last_mut())
            && ttl.tokens.start > body.items.close
        {
            close.at = close.at.to(ttl.at);
        }
        units
    }

    fn feature(&self, item: &FeatureItem) -> String {
        let (FeatureWhat::Aggregate(Call { tokens: head, .. }) | FeatureWhat::Expression { sql: Sql { tokens: head, .. }, .. }) =
            &item.what;
        let mut line = format!("{} = {}", self.slice(item.name.at), self.spaced(head));
        if let Some(filter) = &item.filter {
            line.push_str(&format!(" where {}", self.spaced(&filter.value.tokens)));
        }
        if let Some(by) = &item.by {
            line.push_str(&format!(" by {}", self.spaced(&(by.tokens.start + 1..by.tokens.end))));
        }
        if !item.over.is_empty() {
            let windows: Vec<_> = item.over.iter().map(|window| self.window(&window.tokens)).collect();
            line.push_str(&format!(" over {}", windows.join(", ")));
        }
        if let Some(default) = &item.default {
            line.push_str(&format!(" default {}", self.spaced(&default.value.tokens)));
        }
        line
    }

    /// A window's words in lower case, what is in quotes and the name after `as` as written.
    fn window(&self, tokens: &Tokens) -> String {
        let name = tokens.clone().find(|index| self.tokens[*index].is("as")).map_or(tokens.end, |index| index + 1);
        let words = self.spaced(&(tokens.start..name));
        let parts = words.split('\'').enumerate();
        let words = parts.map(|(part, text)| if part % 2 == 0 { text.to_lowercase() } else { text.to_owned() });
        let words = words.collect::<Vec<_>>().join("'");
        if name < tokens.end { format!("{words} {}", self.spaced(&(name..tokens.end))) } else { words }
    }

    fn vector(&self, declaration: &Declaration, body: &VectorBody) -> Vec<Unit> {
        let mut head = format!("vector {}", self.name(declaration));
        if let Some(on) = &body.on {
            head.push_str(&format!(" on {}", self.slice(on.at)));
        }
        if let Some(request) = &body.request {
            let columns: Vec<_> = request.value.items.iter().map(|column| self.spaced(&column.tokens)).collect();
            head.push_str(&format!(" request ({})", columns.join(", ")));
        }
        head.push_str(" (");
        self.list(declaration, head, &body.items, |item| {
            // The star of a prefix stands at its word.
            let line = self.spaced(&item.tokens);
            let star = line.rfind(" as ").filter(|_| line.ends_with(" *"));
            (item.tokens.clone(), if star.is_some() { format!("{}*", &line[..line.len() - 2]) } else { line })
        })
    }

    fn model(&self, declaration: &Declaration, body: &ModelBody) -> Vec<Unit> {
        let start = declaration.tokens.start;
        let mut units = vec![self.unit(start..start + 2, format!("model {}", self.name(declaration)), HEAD)];
        units.extend(body.from.as_ref().map(|clause| self.clause(clause, "from", 1, 0)));
        units.extend(body.sha256.as_ref().map(|clause| self.clause(clause, "sha256", 1, 1)));
        units.extend(body.takes.as_ref().map(|clause| self.clause(clause, "takes", 1, 2)));
        units.extend(body.output.as_ref().map(|clause| self.clause(clause, "output", 1, 3)));
        units.extend(body.also.as_ref().map(|clause| self.clause(clause, "also", 1, 4)));
        units.extend(body.runs.iter().map(|clause| self.clause(clause, "runs", 1, 5)));
        if let Some(score) = &body.score {
            let (source, topic) = (self.slice(score.value.source.at), self.slice(score.value.topic.at));
            units.push(self.unit(score.tokens.clone(), format!("score {source} into topic {topic}"), CLAUSES + 6));
        }
        units.extend(body.label.as_ref().map(|clause| self.clause(clause, "label", 1, 7)));
        if let Some(watch) = &body.watch {
            let start = watch.tokens.start;
            let every =
                self.tokens[start..watch.tokens.end].iter().position(|token| token.is("against")).map_or(start + 3, |index| start + index);
            let mut line = format!("watch drift every {} against {}", self.spaced(&(start + 3..every)), self.slice(watch.value.profile.at));
            line.push_str(&self.alerts(&watch.value));
            line.push_str(&format!(" into topic {}", self.slice(watch.value.topic.at)));
            units.push(self.unit(watch.tokens.clone(), line, CLAUSES + 8));
        }
        for unit in units.iter_mut().skip(1) {
            unit.indent = 2;
        }
        units
    }

    fn alerts(&self, watch: &Watch) -> String {
        let columns = |columns: &[Name]| columns.iter().map(|column| self.slice(column.at)).collect::<Vec<_>>().join(", ");
        let alert = |alert: &Alert| {
            let of = if alert.columns.is_empty() { String::new() } else { format!("({})", columns(&alert.columns)) };
            format!("{}{of} > {}", alert.metric.text.to_lowercase(), alert.threshold)
        };
        let unless = |unless: &Unless| {
            let what = unless.what.text.to_lowercase();
            format!("{what} {} {}", if what == "rows" { '<' } else { '>' }, unless.number.text)
        };
        let mut text = String::new();
        if !watch.alerts.is_empty() {
            text.push_str(&format!(" alert when {}", watch.alerts.iter().map(alert).collect::<Vec<_>>().join(" or ")));
        }
        if !watch.except.is_empty() {
            text.push_str(&format!(" except ({})", columns(&watch.except)));
        }
        if !watch.unless.is_empty() {
            text.push_str(&format!(" unless {}", watch.unless.iter().map(unless).collect::<Vec<_>>().join(" or ")));
        }
        text
    }
}
