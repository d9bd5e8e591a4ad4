//! An error and its causes in one line: most errors say themselves only that something failed.

use std::error::Error;

/// The messages of `error` and of all that caused it.
pub(crate) fn of(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&cause| cause.source());
    let messages: Vec<_> = causes.map(ToString::to_string).collect();
    messages.join(": ")
}
