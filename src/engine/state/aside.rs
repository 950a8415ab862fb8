//! Views with damaged rows: nothing of them is read or folded any more, and the next start rebuilds them. Other views continue.
//! Must never let a view come back by itself: its rows lack what was not folded meanwhile.

use crate::engine::handle::problems::Kind;
use crate::engine::shared::{Definitions, Shared};
use crate::error::Result;
use crate::online::Progress;

/// What was read of a view's rows; nothing where the view is set aside because they are damaged.
pub fn spared<T>(definitions: &Definitions, view: usize, read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) => {
            let failed = definitions.failed(view, error);
            if definitions.aside(view).is_some() { Ok(None) } else { Err(failed) }
        }
    }
}

/// Takes views that are set aside from those of which rows are complete; whether one was among them.
pub fn forget(shared: &Shared, progress: &mut Progress) -> bool {
    let aside = shared.definitions.views_aside();
    aside.fold(false, |moved, (view, error)| withdraw(shared, progress, view, &error.to_string()) || moved)
}

/// Has the next start build a view anew; whether its rows were complete so far.
pub fn withdraw(shared: &Shared, progress: &mut Progress, view: usize, why: &str) -> bool {
    let (declared, stored) = (&shared.plan().views[view], progress.views.len());
    progress.views.retain(|(stored, _)| *stored != declared.id);
    let is_new = progress.views.len() < stored;
    if is_new {
        shared.set_problem(Kind::View, &format!("view {}", declared.name), Some(why.to_owned()));
    }
    is_new
}
