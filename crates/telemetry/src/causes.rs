//! Writes an error and its causes in one line. The text of most errors does not include the cause.

use std::error::Error;

/// The text of `error` and of its causes, separated by colons.
pub(crate) fn of(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&cause| cause.source());
    let messages: Vec<_> = causes.map(ToString::to_string).collect();
    messages.join(": ")
}
