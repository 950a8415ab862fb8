//! What applying a new plan in place of an old one would change, decided by identities alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Contents, Model, Plan};
use crate::id::Identity;
use crate::value::DataType;

/// Names are `view.feature`, and sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
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
    pub views_removed: Vec<String>,
    pub vectors_changed: Vec<String>,
    /// Added, removed, of another file or of a changed vector.
    pub models_touched: Vec<String>,
    /// The name and the path stay, the file holds another model.
    pub model_files_changed: Vec<String>,
    /// Columns of sources and tables whose stored events have another type.
    pub columns_retyped: Vec<Retyped>,
}

/// A column that keeps its name and changes its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retyped {
    /// `source.column`
    pub column: String,
    pub old: DataType,
    pub new: DataType,
}

/// Compares two plans; an empty old plan is the first application.
#[must_use]
pub fn diff(old: &Plan, new: &Plan) -> Difference {
    let mut difference = Difference::default();
    features(old, new, &mut difference);
    views(old, new, &mut difference);
    let (before, after) = (vectors(old), vectors(new));
    difference.vectors_changed = names(&before, &after).into_iter().filter(|name| before.get(name) != after.get(name)).collect();
    models(old, new, &mut difference);
    difference.columns_retyped = retyped(old, new);
    difference
}

fn retyped(old: &Plan, new: &Plan) -> Vec<Retyped> {
    let mut found = Vec::new();
    for source in &new.sources {
        let Some(former) = old.sources.iter().find(|former| former.name == source.name) else { continue };
        for field in &source.fields {
            let of_before = former.fields.iter().find(|of_before| of_before.name == field.name);
            if let Some(of_before) = of_before.filter(|of_before| of_before.data_type != field.data_type) {
                let column = format!("{}.{}", source.name, field.name);
                found.push(Retyped { column, old: of_before.data_type.clone(), new: field.data_type.clone() });
            }
        }
    }
    found
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
        let reused = held.is_some_and(|held| held.serve(&Contents::of(view, &new.sources)));
        if reused { &mut difference.views_reused } else { &mut difference.views_rebuilt }.push(view.name.clone());
    }
    difference.views_removed =
        old.views.iter().filter(|view| new.views.iter().all(|kept| kept.id != view.id)).map(|view| view.name.clone()).collect();
    for list in [&mut difference.views_reused, &mut difference.views_rebuilt, &mut difference.views_removed] {
        list.sort();
    }
}

fn models(old: &Plan, new: &Plan, difference: &mut Difference) {
    let find = |plan: &Plan, name: &str| plan.model(name).map(|model| meaning(plan, model));
    let names: BTreeSet<_> = old.models.iter().chain(&new.models).map(|model| model.name.clone()).collect();
    let version = |plan: &Plan, name: &str| plan.model(name).map(|model| model.version.clone());
    let other_file = |name: &String| version(old, name).zip(version(new, name)).is_some_and(|(before, after)| before != after);
    difference.model_files_changed = names.iter().filter(|name| other_file(name)).cloned().collect();
    difference.models_touched = names.into_iter().filter(|name| find(old, name) != find(new, name)).collect();
}

/// What of a model shows in its predictions.
fn meaning(plan: &Plan, model: &Model) -> String {
    let vector = plan.vectors.get(model.vector).map(|vector| vector.id);
    format!("{:?} {:?} {:?} {vector:?} {:?} {:?}", model.path, model.sha256, model.usage, model.score, model.watch)
}

fn feature_ids(plan: &Plan) -> BTreeMap<String, Identity> {
    let of_view = |view: &super::View| {
        view.declared.iter().map(|feature| (format!("{}.{}", view.name, view.name_of(*feature)), view.id_of(*feature))).collect::<Vec<_>>()
    };
    plan.views.iter().flat_map(of_view).collect()
}

fn vectors(plan: &Plan) -> BTreeMap<String, Identity> {
    plan.vectors.iter().map(|vector| (vector.name.clone(), vector.id)).collect()
}

fn names(before: &BTreeMap<String, Identity>, after: &BTreeMap<String, Identity>) -> BTreeSet<String> {
    before.keys().chain(after.keys()).cloned().collect()
}

impl Difference {
    /// Whether applying would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let lists = [
            &self.features_added,
            &self.features_changed,
            &self.features_removed,
            &self.views_rebuilt,
            &self.views_removed,
            &self.vectors_changed,
            &self.models_touched,
            &self.model_files_changed,
        ];
        lists.iter().all(|list| list.is_empty()) && self.features_renamed.is_empty() && self.columns_retyped.is_empty()
    }
}

/// One line for each change, `+` added, `~` changed, `-` removed, then one that counts them.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing to change: {} of state are as declared", count(self.views_reused.len(), "view"));
        }
        for (sign, what, names) in [
            ('+', "feature", &self.features_added),
            ('~', "feature", &self.features_changed),
            ('-', "feature", &self.features_removed),
            ('=', "state reused of", &self.views_reused),
            ('~', "state rebuilt of", &self.views_rebuilt),
            ('-', "state of", &self.views_removed),
            ('~', "vector", &self.vectors_changed),
            ('~', "model", &self.models_touched),
        ] {
            names.iter().try_for_each(|name| writeln!(f, "{sign} {what} {name}"))?;
        }
        self.model_files_changed.iter().try_for_each(|name| writeln!(f, "~ model {name}: its file changed"))?;
        self.features_renamed.iter().try_for_each(|(former, name)| writeln!(f, "= feature {former} is now {name}"))?;
        for Retyped { column, old, new } in &self.columns_retyped {
            let remedy = format!("give it a new name, or declare {old} again");
            writeln!(f, "! column {column} is {new} now and was {old}: the engine does not start over stored events: {remedy}")?;
        }
        let (added, changed, removed) = (self.features_added.len(), self.features_changed.len(), self.features_removed.len());
        let (reused, rebuilt) = (count(self.views_reused.len(), "view"), count(self.views_rebuilt.len(), "view"));
        writeln!(f, "features: {added} added, {changed} changed, {removed} removed; state: {reused} reused, {rebuilt} rebuilt")
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
