//! What the exit code says. Listed in `soniquebay --help`.

use std::path::Path;
use std::process::ExitCode;

/// Something went wrong; the message says what.
pub(crate) const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const PARTLY: u8 = 4;
const MODEL_MISSING: u8 = 5;
const INTERRUPTED: u8 = 130;

/// Ends that a calling program may want to tell apart.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// An argument means nothing.
    #[error("{0}")]
    Usage(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// What was looked at is not well; it was said why.
    #[error("{0}")]
    Failed(String),
    /// Done, but some inputs were refused; they were named.
    #[error("{0}")]
    Partly(String),
    /// Nothing can be embedded.
    #[error("the model is not installed")]
    ModelMissing,
    /// Ctrl-C.
    #[error("interrupted; what was stored until then is kept")]
    Interrupted,
}

/// Prints the error, if any, and turns it into the exit code.
pub(crate) fn report(result: anyhow::Result<()>, data: Option<&Path>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let code = match error.downcast_ref::<End>() {
        Some(End::Usage(_)) => USAGE,
        Some(End::NotFound(_)) => NOT_FOUND,
        Some(End::Failed(_)) | None => FAILED,
        Some(End::Partly(_)) => PARTLY,
        Some(End::ModelMissing) => MODEL_MISSING,
        Some(End::Interrupted) => INTERRUPTED,
    };
    // The chain of causes, each where it adds something.
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    if code == MODEL_MISSING {
        // With the folder that was asked for: the model of another one would not help.
        let data = data.map(|data| format!(" --data {}", data.display())).unwrap_or_default();
        message.push_str(&format!(". Fetch it once with:\n  soniquebay{data} model pull"));
    }
    if code == PARTLY || code == INTERRUPTED {
        crate::output::note(&message);
    } else {
        crate::output::note(&format!("error: {message}"));
    }
    code.into()
}
