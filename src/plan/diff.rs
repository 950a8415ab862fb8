//! What applying a new plan in place of an old one would change: features and state by identities, everything else clause by
//! clause.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::clauses::{Kind, clauses};
use super::{Contents, Model, Plan, View};
use crate::id::Identity;

/// Names are `view.feature`, and sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// `source ev`: what is declared anew, features apart.
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Old and new name of streams whose rows stay.
    pub streams_renamed: Vec<(String, String)>,
    /// Clauses of what stays declared; of vectors `vectors_changed` says enough.
    pub clauses_changed: Vec<Change>,
    pub features_added: Vec<String>,
    /// The name stays, the meaning does not.
    pub features_changed: Vec<String>,
    pub features_removed: Vec<String>,
    /// Old and new name of features whose meaning stays.
    pub features_renamed: Vec<(String, String)>,
    /// All folds are there already: only windows, names or defaults differ, or nothing.
    pub views_reused: Vec<String>,
    /// Some folds, or all, must be computed from the events.
    pub views_rebuilt: Vec<String>,
    /// Of `views_rebuilt` those that are new.
    pub views_added: Vec<String>,
    pub views_removed: Vec<String>,
    /// Declared before and after, with other columns, keys or meanings.
    pub vectors_changed: Vec<String>,
    /// Declared before and after, of another file or of a changed vector, or otherwise scored or watched.
    pub models_touched: Vec<String>,
    /// The name and the path stay, the file holds another model.
    pub model_files_changed: Vec<String>,
}

/// A clause that is added, removed or says something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    pub name: String,
    pub clause: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

/// Compares two plans; an empty old plan is the first application.
#[must_use]
pub fn diff(old: &Plan, new: &Plan) -> Difference {
    let mut difference = Difference::default();
    declared(old, new, &mut difference);
    features(old, new, &mut difference);
    views(old, new, &mut difference);
    models(old, new, &mut difference);
    difference
}

/// Compares what is declared, features apart.
fn declared(old: &Plan, new: &Plan, difference: &mut Difference) {
    let (before, after) = (clauses(old), clauses(new));
    let missing = |all: &BTreeMap<_, _>, other: &BTreeMap<(Kind, String), _>| {
        let names = all.keys().filter(|key| !other.contains_key(*key));
        names.cloned().collect::<BTreeSet<(Kind, String)>>()
    };
    let (mut removed, mut added) = (missing(&before, &after), missing(&after, &before));
    for key in removed.clone().into_iter().filter(|(kind, _)| *kind == Kind::Stream) {
        if let Some(now) = added.iter().find(|now| now.0 == Kind::Stream && after[*now] == before[&key]).cloned() {
            added.remove(&now);
            removed.remove(&key);
            difference.streams_renamed.push((key.1, now.1));
        }
    }
    let listed = |names: BTreeSet<(Kind, String)>| names.into_iter().map(|(kind, name)| format!("{} {name}", kind.name())).collect();
    (difference.removed, difference.added) = (listed(removed), listed(added));
    for (key, now) in &after {
        let Some(then) = before.get(key) else { continue };
        let (kind, name) = key;
        if *kind == Kind::Vector {
            if then != now {
                difference.vectors_changed.push(name.clone());
            }
            continue;
        }
        let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
        for clause in names.into_iter().filter(|clause| then.get(*clause) != now.get(*clause)) {
            let (old, new) = (then.get(clause).cloned(), now.get(clause).cloned());
            let is_renamed = |(then, now): &(String, String)| old.as_ref() == Some(then) && new.as_ref() == Some(now);
            if !(*kind == Kind::View && clause == "from" && difference.streams_renamed.iter().any(is_renamed)) {
                difference.clauses_changed.push(Change { kind: *kind, name: name.clone(), clause: clause.clone(), old, new });
            }
        }
    }
}

fn features(old: &Plan, new: &Plan, difference: &mut Difference) {
    let (before, after) = (feature_ids(old), feature_ids(new));
    let mut lost: BTreeMap<Identity, String> =
        before.iter().filter(|(name, _)| !after.contains_key(*name)).map(|(name, id)| (*id, name.clone())).collect();
    for (name, id) in &after {
        match before.get(name) {
            Some(same) if same == id => {}
            Some(_) => difference.features_changed.push(name.clone()),
            None => match lost.remove(id) {
                Some(former) => difference.features_renamed.push((former, name.clone())),
                None => difference.features_added.push(name.clone()),
            },
        }
    }
    let renamed: BTreeSet<_> = difference.features_renamed.iter().map(|(former, _)| former).collect();
    difference.features_removed = before.keys().filter(|name| !after.contains_key(*name) && !renamed.contains(name)).cloned().collect();
}

fn views(old: &Plan, new: &Plan, difference: &mut Difference) {
    for view in &new.views {
        let held = old.views.iter().find(|former| former.id == view.id).map(|former| Contents::of(former, &old.sources));
        if held.is_none() && old.views.iter().all(|former| former.name != view.name) {
            difference.views_added.push(view.name.clone());
        }
        let reused = held.is_some_and(|held| held.serve(&Contents::of(view, &new.sources)));
        if reused { &mut difference.views_reused } else { &mut difference.views_rebuilt }.push(view.name.clone());
    }
    // What stays under its name is rebuilt or reused.
    let is_gone = |view: &&View| new.views.iter().all(|kept| kept.name != view.name);
    difference.views_removed = old.views.iter().filter(is_gone).map(|view| view.name.clone()).collect();
    for list in [&mut difference.views_reused, &mut difference.views_rebuilt, &mut difference.views_added, &mut difference.views_removed] {
        list.sort();
    }
}

fn models(old: &Plan, new: &Plan, difference: &mut Difference) {
    let vector = |plan: &Plan, model: &Model| plan.vectors.get(model.vector).map(|vector| vector.id);
    let is_touched = |model: &&Model| {
        let is_of_it = |change: &Change| change.kind == Kind::Model && change.name == model.name;
        let former = old.model(&model.name);
        former.is_some_and(|former| vector(old, former) != vector(new, model) || difference.clauses_changed.iter().any(is_of_it))
    };
    let mut touched: Vec<String> = new.models.iter().filter(is_touched).map(|model| model.name.clone()).collect();
    touched.sort();
    difference.models_touched = touched;
    let other_file = |model: &&Model| old.model(&model.name).is_some_and(|former| former.version != model.version);
    difference.model_files_changed = new.models.iter().filter(other_file).map(|model| model.name.clone()).collect();
    difference.model_files_changed.sort();
}

fn feature_ids(plan: &Plan) -> BTreeMap<String, Identity> {
    let of_view = |view: &super::View| {
        view.declared.iter().map(|feature| (format!("{}.{}", view.name, view.name_of(*feature)), view.id_of(*feature))).collect::<Vec<_>>()
    };
    plan.views.iter().flat_map(of_view).collect()
}

impl Difference {
    /// Whether applying would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // What is reused is no change.
        let Self {
            added,
            removed,
            streams_renamed,
            clauses_changed,
            features_added,
            features_changed,
            features_removed,
            features_renamed,
            views_reused: _,
            views_rebuilt,
            views_added,
            views_removed,
            vectors_changed,
            models_touched,
            model_files_changed,
        } = self;
        let names = [
            added,
            removed,
            features_added,
            features_changed,
            features_removed,
            views_rebuilt,
            views_added,
            views_removed,
            vectors_changed,
            models_touched,
            model_files_changed,
        ];
        names.iter().all(|list| list.is_empty())
            && [streams_renamed, features_renamed].iter().all(|list| list.is_empty())
            && clauses_changed.is_empty()
    }
}

impl Change {
    /// What it means for what is stored and for what comes, where that is not said elsewhere.
    #[must_use]
    pub fn effect(&self) -> Option<&'static str> {
        let is_new = self.old.is_none();
        match (self.kind, self.clause.as_str()) {
            (Kind::Table, "path") => Some("files there are taken in, and rows of the former ones stay"),
            (Kind::Table, clause)
                if matches!(clause, "event time" | "key") || clause.starts_with("column ") || clause.starts_with("unit of ") =>
            {
                Some("its files are taken in again, and every row is stored a second time")
            }
            (Kind::Source, clause) if clause.starts_with("unit of ") => Some("for records from now on; what is stored keeps its times"),
            (Kind::Source, clause) if clause.starts_with("column ") => match (is_new, &self.new) {
                (true, _) => Some("null in events that are stored already"),
                (false, None) => Some("it stays in what is stored, and is read no more"),
                (false, Some(_)) => None,
            },
            (Kind::Source, "event time") => {
                Some("every stored event is placed by it, and is none where it is null; what was accepted stays")
            }
            (Kind::Source, "lateness" | "max ahead" | "expect" | "format") => Some("for records from now on; what was accepted stays"),
            (Kind::Source, "history") => Some("how far back lookups may ask, and how long state is kept"),
            (Kind::Source, "partitions") => {
                Some("for records from now on; ids of dedup by and of deletes are known in the partition of their event only")
            }
            (Kind::Source, "dedup by" | "deletes when" | "deletes on") => match &self.new {
                Some(_) => Some("for records from now on; ids of stored events are learnt from the log at the start"),
                None => Some("for records from now on; what was dropped or taken back stays so"),
            },
            (Kind::View, "ttl") => Some("keys are forgotten after another silence"),
            _ => None,
        }
    }
}

/// `~ source ev: lateness was 1d and is 10d (..)`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, clause, old, new } = self;
        let (sign, said) = match (old, new) {
            (None, new) => ('+', format!("{clause} {}", new.as_deref().unwrap_or_default())),
            (Some(old), None) => ('-', format!("{clause} {old}")),
            (Some(old), Some(new)) => ('~', format!("{clause} was {old} and is {new}")),
        };
        write!(f, "{sign} {} {name}: {}", kind.name(), said.trim_end())?;
        self.effect().map_or(Ok(()), |effect| write!(f, " ({effect})"))
    }
}

/// One line for each change, `+` added, `~` changed, `-` removed, `=` the same under another name, then one that counts them.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing to change: {} of state are as declared", count(self.views_reused.len(), "view"));
        }
        self.added.iter().try_for_each(|name| writeln!(f, "+ {name}"))?;
        self.clauses_changed.iter().try_for_each(|change| writeln!(f, "{change}"))?;
        self.removed.iter().try_for_each(|name| writeln!(f, "- {name}"))?;
        let rebuilt: Vec<String> = self.views_rebuilt.iter().filter(|view| !self.views_added.contains(view)).cloned().collect();
        for (sign, what, names) in [
            ('+', "feature", &self.features_added),
            ('~', "feature", &self.features_changed),
            ('-', "feature", &self.features_removed),
            ('=', "state reused of", &self.views_reused),
            ('+', "state built of", &self.views_added),
            ('~', "state rebuilt of", &rebuilt),
            ('-', "state of", &self.views_removed),
            ('~', "vector", &self.vectors_changed),
            ('~', "model", &self.models_touched),
        ] {
            names.iter().try_for_each(|name| writeln!(f, "{sign} {what} {name}"))?;
        }
        self.model_files_changed.iter().try_for_each(|name| writeln!(f, "~ model {name}: its file changed"))?;
        self.features_renamed.iter().try_for_each(|(former, name)| writeln!(f, "= feature {former} is now {name}"))?;
        self.streams_renamed.iter().try_for_each(|(former, name)| writeln!(f, "= stream {former} is now {name}"))?;
        let (added, changed, removed) = (self.features_added.len(), self.features_changed.len(), self.features_removed.len());
        let (reused, built) = (count(self.views_reused.len(), "view"), count(self.views_added.len(), "view"));
        let rebuilt = rebuilt.len();
        writeln!(
            f,
            "features: {added} added, {changed} changed, {removed} removed; state: {reused} reused, {built} built, {rebuilt} rebuilt"
        )
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
