//! Derived features of views as a vector reads them: expressions over its frame.

use std::ops::ControlFlow;

use arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{Expr, Ident, visit_expressions};

use super::Checker;
use super::frame::Frame;
use super::source::schema_of;
use crate::language::expression::{Part, Place, compose, identifier, renamed};
use crate::plan::{Expression, FeatureRef, Field};

/// A derived feature under one choice of keys.
pub(super) struct Computed {
    /// By which the vector's expressions name it.
    pub name: String,
    /// Over the vector's frame, its default applied.
    pub expression: Expression,
    pub meaning: String,
}

/// What the columns of a vector are made of, once its items are resolved.
pub(super) struct Seen<'s> {
    pub fields: &'s [Field],
    pub schema: &'s SchemaRef,
    pub computed: &'s [Computed],
    pub frame: &'s Frame,
}

impl Checker<'_> {
    /// The derived features that a vector reads, in the order of its frame's `computed`.
    pub(super) fn computed(&self, frame: &Frame, fields: &[Field]) -> Vec<Computed> {
        let mut computed: Vec<Computed> = Vec::new();
        for (read, index) in &frame.computed {
            let of = &frame.reads[*read];
            let view = &self.plan.views[of.view];
            let derived = &view.derived[*index];
            let (mut parts, mut names, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
            for input in &derived.inputs {
                let name = frame.feature_name(&self.plan, *read, *input);
                match fields.iter().position(|field| field.name == name) {
                    Some(place) => {
                        parts.push(Part::Column(place));
                        names.push(identifier(&name));
                    }
                    None => {
                        let Some(earlier) = computed.iter().find(|earlier| earlier.name == name) else { continue };
                        parts.push(Part::Computed(earlier.expression.clone()));
                        names.push(Ident::new(format!("({})", earlier.expression.text)));
                    }
                }
                inputs.push(Field { name: view.name_of(*input).to_owned(), data_type: view.type_of(*input).clone() });
            }
            let expr = &self.derived_expressions[of.view][*index];
            let name_in_frame = |name: &str| inputs.iter().position(|input| input.name == name).map(|place| names[place].clone());
            let mut text = renamed(expr, name_in_frame).to_string();
            if let Some(default) = &derived.default {
                let mut literal = Vec::new();
                crate::json::write_value(&mut literal, default);
                text += &format!(" default {}", String::from_utf8_lossy(&literal));
            }
            let expression = compose(text, parts, schema_of(&inputs), derived.expression.clone(), derived.default.clone());
            let feature = FeatureRef::Derived(*index);
            let (name, meaning) = (frame.feature_name(&self.plan, *read, feature), frame.meaning(&self.plan, of, feature));
            computed.push(Computed { name, expression, meaning });
        }
        computed
    }

    /// Plans a vector's expression that reads derived features, and says what it means.
    pub(super) fn over_computed(&mut self, expr: &Expr, place: Place<'_>, seen: &Seen<'_>) -> Option<(Expression, String)> {
        let (mut parts, mut inputs) = (Vec::new(), Vec::new());
        for (index, field) in seen.fields.iter().enumerate().filter(|(_, field)| names(expr, &field.name)) {
            parts.push(Part::Column(index));
            inputs.push(field.clone());
        }
        for computed in seen.computed.iter().filter(|computed| names(expr, &computed.name)) {
            parts.push(Part::Computed(computed.expression.clone()));
            inputs.push(Field { name: computed.name.clone(), data_type: computed.expression.data_type.clone() });
        }
        let schema = schema_of(&inputs);
        let planned = self.planner.plan(expr, &schema, place, self.problems)?;
        let expanded = |name: &str| {
            let computed = seen.computed.iter().find(|computed| computed.name == name)?;
            Some(Ident::new(format!("({})", computed.expression.text)))
        };
        let text = renamed(expr, expanded).to_string();
        Some((compose(text, parts, schema, planned.expression, None), planned.meaning))
    }
}

/// Whether an expression reads one of these.
pub(super) fn reads(expr: &Expr, computed: &[Computed]) -> bool {
    computed.iter().any(|computed| names(expr, &computed.name))
}

/// Whether an expression names a column.
fn names(expr: &Expr, column: &str) -> bool {
    let found = visit_expressions(expr, |part| match part {
        Expr::Identifier(name) if name.value == column => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}
