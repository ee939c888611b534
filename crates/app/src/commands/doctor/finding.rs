//! What was found, how bad it is, and what to type.

use serde::Serialize;

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    Warn,
    Fail,
}

/// What owners of music servers ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Question {
    NothingIsVectorized,
    CalculationFails,
    ItIsSlow,
}

impl Question {
    pub(super) const ALL: [Self; 3] = [Self::NothingIsVectorized, Self::CalculationFails, Self::ItIsSlow];

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NothingIsVectorized => "Nothing is vectorized?",
            Self::CalculationFails => "Calculation fails?",
            Self::ItIsSlow => "It is slow?",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) status: Status,
    pub(super) found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
    /// Which questions it answers, where it is not well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) answers: Vec<Question>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), fix: None, answers: Vec::new() }
    }

    pub(super) fn warn(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Warn, fix: Some(fix.into()), ..Self::ok(check, found) }
    }

    pub(super) fn fail(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::warn(check, found, fix) }
    }

    /// The same, as an answer to these questions.
    pub(super) fn answering(self, questions: &[Question]) -> Self {
        Self { answers: questions.to_vec(), ..self }
    }
}

/// Something that differs between two clocks.
pub(super) fn clock(server: &str, ahead_ms: i64) -> Finding {
    /// Leases last a minute: what is less does no harm.
    const HARMLESS: u64 = 5_000;
    let apart = ahead_ms.unsigned_abs();
    match apart <= HARMLESS {
        true => Finding::ok("clock", format!("as {server}'s, within {} s", apart.div_ceil(1000))),
        false => Finding::warn(
            "clock",
            format!("{} s {} {server}'s", apart / 1000, if ahead_ms > 0 { "behind" } else { "ahead of" }),
            "set it by NTP: timedatectl set-ntp true",
        ),
    }
}
