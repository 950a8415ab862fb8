//! Functions that are written by others: `coalesce` is a `case`, `nvl` a `coalesce`. DataFusion rewrites them in its
//! optimiser, which single expressions do not pass. Must never rewrite what runs as it stands: a simplified expression
//! could round otherwise.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};

/// The functions that have no code of their own.
const WRITTEN_BY_OTHERS: [&str; 7] = ["arrow_cast", "arrow_try_cast", "cast_to_type", "coalesce", "nvl", "nvl2", "try_cast_to_type"];

/// The expression with such functions replaced by what they mean.
pub(super) fn runnable(expr: Expr, names: &DFSchema) -> Result<Expr, DataFusionError> {
    let context = SimplifyContext::builder().with_schema(Arc::new(names.clone())).build();
    let rewritten = expr.transform_up(|expr| match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) if WRITTEN_BY_OTHERS.contains(&func.name()) => {
            match func.simplify(args, &context)? {
                ExprSimplifyResult::Simplified(meant) => Ok(Transformed::yes(meant)),
                ExprSimplifyResult::Original(args) => Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }))),
            }
        }
        other => Ok(Transformed::no(other)),
    });
    Ok(rewritten?.data)
}
