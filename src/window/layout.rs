//! What the states of a view's keys need to know of it, computed once: the shape of rows, the parts that tiles keep,
//! and the features by window, in the order in which one walk answers them.

use crate::aggregate::{Aggregate, Fold, FoldSpec, Kind, META, MapLimit, Moment, Partial};
use crate::id::Identity;
use crate::never::OrNever;
use crate::plan::{Feature, View, Window, WindowBounds};
use crate::time::EventTime;
use crate::value::Value;

/// Flags that a row's third word has room for, beside its partition.
const FLAGS_FIRST: usize = 32;
/// The first eight bytes of an identity: how stored rows name inputs, filters and parts.
pub(super) type Label = [u8; 8];

/// How events of a view lie in words; see `aggregate::Rows`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowShape {
    /// Words of a row.
    pub(super) stride: usize,
    /// The word of the first input.
    pub(super) inputs_at: usize,
    pub(super) kinds: Box<[Kind]>,
    pub(super) filters: usize,
}

/// What a key's state needs to know of its view. Share it; building it hashes the texts of expressions.
pub struct Layout {
    pub(super) shape: RowShape,
    /// The words of rows that are indices into texts, with the flag that says whether they hold one.
    pub(super) texts: Box<[(usize, (usize, u64))]>,
    pub(super) parts: Box<[FoldSpec]>,
    /// For each part, whether tiles keep partials of it; see `Fold::is_tiled`.
    pub(super) tiled: Box<[bool]>,
    pub(super) part_labels: Box<[Label]>,
    /// For each part, others that answer for it, by which a row that was written with more features is read.
    pub(super) covering: Box<[Box<[(Label, FoldSpec)]>]>,
    /// The parts that windows without a lower bound read, and that are therefore kept of events that are forgotten.
    pub(super) base_parts: Box<[usize]>,
    /// After a silence of more than so many microseconds, earlier events no longer count.
    pub(super) ttl: Option<i64>,
    /// One for each filter for which the last rows are needed.
    pub(super) last_rows: Box<[LastRows]>,
    pub(super) runs: Box<[RunOf]>,
    /// The part that counts all events, then those that count the events of each filter, where there is one.
    pub(super) counts: Box<[Option<usize>]>,
    pub(super) input_labels: Box<[Label]>,
    pub(super) filter_labels: Box<[Label]>,
    pub(super) features: Box<[FeatureRead]>,
    /// By group.
    pub(super) bounds: Box<[Bound]>,
}

/// How one feature is read.
pub(super) struct FeatureRead {
    pub(super) part: usize,
    /// Into `Layout::bounds`.
    pub(super) bound: usize,
    aggregate: Aggregate,
    keep: MapLimit,
    default: Value,
}

/// A window: windows with equal `offset`, `before` and `excluding_current` are one group, which share their upper end; one of
/// whole units has an end of its own, and so a group for each unit and zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bound {
    pub(super) offset: i64,
    pub(super) before: bool,
    pub(super) excluding_current: bool,
    pub(super) frame: WindowBounds,
    pub(super) limit: Option<u32>,
    /// Which events a limit counts, or a session holds together; `None`: all.
    pub(super) filter: Option<usize>,
}

/// The last rows of one filter, which some windows need also when they are forgotten.
pub(super) struct LastRows {
    pub(super) filter: Option<usize>,
    pub(super) rows: u32,
    pub(super) label: Label,
}

/// A session whose run may begin among forgotten events.
pub(super) struct RunOf {
    pub(super) gap: i64,
    pub(super) filter: Option<usize>,
    pub(super) parts: Box<[usize]>,
    pub(super) label: Label,
}

impl Bound {
    fn of(window: &Window, filter: Option<usize>) -> Self {
        let counts = window.limit.is_some() || matches!(window.frame, WindowBounds::Session { .. });
        Self {
            offset: window.offset.0,
            before: window.before,
            excluding_current: window.excluding_current,
            frame: window.frame.clone(),
            limit: window.limit,
            filter: filter.filter(|_| counts),
        }
    }

    /// The moment at which it ends for a query at `q`; `None` where nothing counts.
    pub(super) fn end(&self, q: EventTime) -> Option<i128> {
        self.frame.end(i128::from(q.0) - i128::from(self.offset))
    }

    /// Whether the moment at which it ends does not count.
    pub(super) fn ends_before(&self) -> bool {
        self.before || self.frame.ends_before()
    }

    /// The window for a query at `q`, held at the ends of the range of times.
    pub(super) fn moment(&self, q: EventTime) -> Moment {
        let query = self.end(q).unwrap_or_else(|| i128::from(q.0) - i128::from(self.offset));
        let held = |time: i128| time.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        let open = matches!(self.frame, WindowBounds::Range { open: true, .. });
        Moment { query: held(query), start: self.frame.start(query).map(|first| held(first - i128::from(open))) }
    }

    pub(super) fn same_group(&self, other: &Self) -> bool {
        let ends_alike = !(self.frame.ends_before() || other.frame.ends_before()) || self.frame == other.frame;
        (self.offset, self.before, self.excluding_current) == (other.offset, other.before, other.excluding_current) && ends_alike
    }
}

impl RowShape {
    pub(super) fn of(view: &View) -> Self {
        let flags = view.inputs.len() + view.filters.len();
        let more_flags = flags.saturating_sub(FLAGS_FIRST).div_ceil(64);
        Self {
            stride: META + 1 + more_flags + view.inputs.len(),
            inputs_at: META + 1 + more_flags,
            kinds: view.inputs.iter().map(|input| Kind::of(&input.data_type)).collect(),
            filters: view.filters.len(),
        }
    }

    /// The word and bit that say whether an input is not null.
    pub(super) fn input_flag(input: usize) -> (usize, u64) {
        if input < FLAGS_FIRST {
            return (META, 1 << input);
        }
        let further = input - FLAGS_FIRST;
        (META + 1 + further / 64, 1 << (further % 64))
    }

    /// The word and bit that say whether a filter holds.
    pub(super) fn filter_flag(&self, filter: usize) -> (usize, u64) {
        Self::input_flag(self.kinds.len() + filter)
    }
}

impl Layout {
    #[must_use]
    pub fn new(view: &View) -> Self {
        let shape = RowShape::of(view);
        let candidates: Vec<FoldSpec> =
            view.folds.iter().map(|fold| part(&shape, fold.aggregate.fold().clone(), &fold.inputs, fold.filter)).collect();
        let covers = |a: &FoldSpec, b: &FoldSpec| a.fold.covers(&b.fold) && same_rows(a, b);
        // A part stays unless another one answers for it; of two that answer for each other the first stays.
        let (mut parts, mut part_labels, mut covering): (Vec<FoldSpec>, Vec<Label>, Vec<Box<[(Label, FoldSpec)]>>) = Default::default();
        for (index, candidate) in candidates.iter().enumerate() {
            let other =
                |(at, other): (usize, &FoldSpec)| at != index && covers(other, candidate) && (at < index || !covers(candidate, other));
            if candidates.iter().enumerate().any(other) {
                continue;
            }
            let fold = &view.folds[index];
            let inputs = fold.inputs.iter().map(|input| view.inputs[*input].text.as_ref()).collect::<Vec<_>>().join(", ");
            let filter = fold.filter.map_or("", |filter| view.filters[filter].text.as_ref());
            let label_of = |fold: &Fold| label(&format!("{} of {inputs} where {filter}", fold.text()));
            let wider = fold.inputs.first().map(|input| candidate.fold.covering(shape.kinds[*input])).unwrap_or_default();
            covering.push(wider.into_iter().map(|fold| (label_of(&fold), FoldSpec { fold, ..candidate.clone() })).collect());
            part_labels.push(label_of(&candidate.fold));
            parts.push(candidate.clone());
        }
        let bound = |feature: &Feature| Bound::of(&feature.window, view.folds[feature.fold].filter);
        let mut bounds: Vec<Bound> = view.features.iter().map(bound).collect();
        bounds.sort();
        bounds.dedup();
        let features: Box<[FeatureRead]> = view
            .features
            .iter()
            .map(|feature| FeatureRead {
                part: parts.iter().position(|part| covers(part, &candidates[feature.fold])).or_never("the fold of a feature"),
                bound: bounds.binary_search(&bound(feature)).ok().or_never("the bound of a feature"),
                aggregate: view.folds[feature.fold].aggregate.clone(),
                keep: feature.keep,
                default: feature.default.clone().unwrap_or_default(),
            })
            .collect();
        let unbounded = |feature: &&FeatureRead| bounds[feature.bound].frame == WindowBounds::All && bounds[feature.bound].limit.is_none();
        let mut base_parts: Vec<usize> = features.iter().filter(unbounded).map(|feature| feature.part).collect();
        base_parts.sort_unstable();
        base_parts.dedup();
        let filter_text = |filter: Option<usize>| filter.map_or("", |filter| view.filters[filter].text.as_ref());
        let rows = |bound: &Bound| match (&bound.frame, bound.limit) {
            (WindowBounds::All | WindowBounds::Session { .. }, Some(rows)) => Some((bound.filter, rows)),
            _ => None,
        };
        let last_rows = grouped(bounds.iter().filter_map(rows), |most, rows| *most = rows.max(*most));
        let last_rows = last_rows.into_iter().map(|(filter, rows)| LastRows {
            filter,
            rows,
            label: label(&format!("rows where {}", filter_text(filter))),
        });
        let runs = features.iter().filter_map(|feature| match bounds[feature.bound].frame {
            WindowBounds::Session { gap } => Some(((gap.0, bounds[feature.bound].filter), vec![feature.part])),
            _ => None,
        });
        let runs = grouped(runs, |parts, more| parts.extend(more.iter().filter(|part| !parts.contains(part)).copied().collect::<Vec<_>>()));
        let runs = runs.into_iter().map(|((gap, filter), parts)| RunOf {
            gap,
            filter,
            parts: parts.into(),
            label: label(&format!("run in {gap} where {}", filter_text(filter))),
        });
        let counting = |filter: Option<usize>| parts.iter().position(|known| *known == part(&shape, Fold::Count, &[], filter));
        let counts = std::iter::once(None).chain((0..view.filters.len()).map(Some)).map(counting).collect();
        let texts = view.inputs.iter().enumerate().filter(|(_, input)| Kind::of(&input.data_type) == Kind::Text);
        Self {
            texts: texts.map(|(input, _)| (shape.inputs_at + input, RowShape::input_flag(input))).collect(),
            tiled: parts.iter().map(|part| part.fold.is_tiled()).collect(),
            parts: parts.into(),
            part_labels: part_labels.into(),
            covering: covering.into(),
            base_parts: base_parts.into(),
            ttl: view.ttl.map(|ttl| ttl.0),
            last_rows: last_rows.collect(),
            runs: runs.collect(),
            counts,
            input_labels: view.inputs.iter().map(|input| label(&format!("{} {}", input.data_type, input.text))).collect(),
            filter_labels: view.filters.iter().map(|filter| label(&filter.text)).collect(),
            features,
            bounds: bounds.into(),
            shape,
        }
    }

    /// Whether an event passes a filter of the view.
    #[inline]
    pub(super) fn matches(&self, filter: Option<usize>, row: &[u64]) -> bool {
        filter.is_none_or(|filter| {
            let (word, flag) = self.shape.filter_flag(filter);
            row[word] & flag != 0
        })
    }

    /// Whether what is kept of forgotten events depends on their order: they must be forgotten from the earliest on, and
    /// none may come later that is earlier than those.
    #[must_use]
    pub fn forgets_in_order(&self) -> bool {
        let keeps_rows = !self.last_rows.is_empty() || !self.runs.is_empty();
        keeps_rows || self.base_parts.iter().any(|part| self.ttl.is_some() || !self.tiled[*part])
    }

    /// Whether nothing is kept of events that were forgotten, so that a state without others is that of a key never seen.
    #[must_use]
    pub fn forgets_all(&self) -> bool {
        self.base_parts.is_empty() && self.last_rows.is_empty() && self.runs.is_empty()
    }

    /// What a tile keeps of no events, one per part.
    pub(super) fn empty_tile(&self) -> impl Iterator<Item = Partial> {
        self.parts.iter().zip(&self.tiled).map(|(part, tiled)| if *tiled { part.empty() } else { Partial::Absent })
    }
}

impl FeatureRead {
    /// The feature's value at query time `q` where its window's events fold to `partial`.
    pub(super) fn value(&self, layout: &Layout, q: EventTime, partial: &Partial) -> Value {
        match self.aggregate.finish(partial, &layout.bounds[self.bound].moment(q), self.keep) {
            Value::Null => self.default.clone(),
            value => value,
        }
    }
}

fn label(text: &str) -> Label {
    let mut label = Label::default();
    label.copy_from_slice(&Identity::of(text).0[..8]);
    label
}

fn part(shape: &RowShape, fold: Fold, inputs: &[usize], filter: Option<usize>) -> FoldSpec {
    let mut needs: Vec<(usize, u64)> = Vec::new();
    let flags: Vec<(usize, u64)> = inputs.iter().map(|input| RowShape::input_flag(*input)).collect();
    let (needed, present) = if fold.takes_nulls() { (Vec::new(), flags) } else { (flags, Vec::new()) };
    for (word, bit) in needed.into_iter().chain(filter.map(|filter| shape.filter_flag(filter))) {
        match needs.iter_mut().find(|(known, _)| *known == word) {
            Some((_, bits)) => *bits |= bit,
            None => needs.push((word, bit)),
        }
    }
    let more = needs.split_off(needs.len().min(1));
    let inputs = inputs.iter().map(|input| shape.inputs_at + input).collect();
    FoldSpec { fold, inputs, needs: needs.first().copied().unwrap_or((META, 0)), needs_more: more.into(), present: present.into() }
}

fn same_rows(a: &FoldSpec, b: &FoldSpec) -> bool {
    a.inputs == b.inputs && a.needs == b.needs && a.needs_more == b.needs_more
}

/// The distinct keys of some things with what `merge` makes of all that have them, in order of first use.
fn grouped<K: PartialEq, T>(items: impl Iterator<Item = (K, T)>, mut merge: impl FnMut(&mut T, T)) -> Vec<(K, T)> {
    let mut groups: Vec<(K, T)> = Vec::new();
    for (key, item) in items {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => merge(group, item),
            None => groups.push((key, item)),
        }
    }
    groups
}
