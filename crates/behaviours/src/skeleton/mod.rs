//! Skeletons: patterns of parallel work over processes, with failures handled.
//!
//! - [`map`]: a function over items, each in a process of its own; [`async_stream`](crate::task::async_stream) is
//!   the same with bounds and without a list;
//! - [`reduce`]: items combined to one, parts of them at once;
//! - [`Farm`]: workers with a state of their own that take jobs; a job whose worker falls is tried again;
//! - [`Pipe`]: stages, each a process, joined by bounded queues.
//!
//! Source: M. Cole, *Algorithmic Skeletons* (1989), for the words. What each does when a process falls is said
//! with it; none loses an item without saying so.

mod farm;
mod pipe;

use std::sync::Arc;

pub use farm::{Farm, JobError, Pending, Worker};
pub use pipe::{Pipe, pipe};

use crate::gen_server::Starter;
use crate::task::{TaskError, async_stream_nolink};

/// What a function answers for each item, in the order of the items; each runs in a process of its own.
///
/// # Errors
/// [`TaskError`] of the first item that failed, in that order; what still runs is ended.
pub async fn map<I, F, Fut>(
    on: &(impl Starter + ?Sized),
    items: I,
    function: F,
) -> Result<Vec<Fut::Output>, TaskError>
where
    I: IntoIterator<IntoIter: Send, Item: Send + 'static>,
    F: Fn(I::Item) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Send + 'static> + Send + 'static,
{
    let mut results = async_stream_nolink(on, items, function);
    let mut all = Vec::new();
    while let Some(result) = results.next().await {
        all.push(result?);
    }
    Ok(all)
}

/// Parts that items are combined in at once. A guess: more than most machines have processors.
const PARTS: usize = 16;

/// All items combined to one, in their order; `None` if there are none. Parts of them are combined at once, each
/// in a process of its own, so `combine` has to be associative.
///
/// # Errors
/// [`TaskError`] where `combine` failed; nothing of it runs on.
pub async fn reduce<I, F>(
    on: &(impl Starter + ?Sized),
    items: I,
    combine: F,
) -> Result<Option<I::Item>, TaskError>
where
    I: IntoIterator<Item: Send + 'static>,
    F: Fn(I::Item, I::Item) -> I::Item + Send + Sync + 'static,
{
    let combine = Arc::new(combine);
    let fold = move |part: Vec<I::Item>| {
        let combine = combine.clone();
        async move { part.into_iter().reduce(|one, other| combine(one, other)) }
    };
    let parts = parts(items.into_iter().collect());
    let folded = map(on, parts, fold.clone()).await?;
    let folded: Vec<_> = folded.into_iter().flatten().collect();
    let last = map(on, [folded], fold).await?;
    Ok(last.into_iter().flatten().next())
}

/// Items in so many lists as are combined at once, in their order.
fn parts<T>(mut items: Vec<T>) -> Vec<Vec<T>> {
    let size = items.len().div_ceil(PARTS).max(1);
    let mut parts = Vec::with_capacity(PARTS);
    while items.len() > size {
        let rest = items.split_off(size);
        parts.push(std::mem::replace(&mut items, rest));
    }
    parts.push(items);
    parts
}
