//! Features of a view that are computed from others of it where these are read. They have no state, and no part in the
//! view's: what reads features (`window`, the engine, training) never meets one.

use super::{Expression, View};
use crate::id::Identity;
use crate::value::{DataType, Value};

/// A SQL expression over other features of its view.
#[derive(Clone, Debug)]
pub struct DerivedFeature {
    pub name: String,
    pub id: Identity,
    /// Evaluated on batches whose columns are `inputs`, under their names.
    pub expression: Expression,
    /// At least one.
    pub inputs: Vec<FeatureRef>,
    /// Takes the place of null, also for what is computed from it.
    pub default: Option<Value>,
}

/// A feature of a view: a place among its `features` or among its `derived`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureRef {
    Aggregate(usize),
    Derived(usize),
}

impl View {
    /// The feature of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<FeatureRef> {
        self.declared.iter().copied().find(|feature| self.name_of(*feature) == name)
    }

    #[must_use]
    pub fn name_of(&self, feature: FeatureRef) -> &str {
        match feature {
            FeatureRef::Aggregate(index) => &self.features[index].name,
            FeatureRef::Derived(index) => &self.derived[index].name,
        }
    }

    #[must_use]
    pub fn type_of(&self, feature: FeatureRef) -> &DataType {
        match feature {
            FeatureRef::Aggregate(index) => &self.features[index].data_type,
            FeatureRef::Derived(index) => &self.derived[index].expression.data_type,
        }
    }

    #[must_use]
    pub fn id_of(&self, feature: FeatureRef) -> Identity {
        match feature {
            FeatureRef::Aggregate(index) => self.features[index].id,
            FeatureRef::Derived(index) => self.derived[index].id,
        }
    }
}
