//! What is done with messages, in one step each; `lua/move.lua` does it.

/// A message taken from one place, and what then becomes of it. Where it is not there any more, nothing does.
#[derive(Clone, Debug)]
pub(super) struct Move {
    /// The place and what names the message there.
    from: [Vec<u8>; 4],
    steps: Vec<[Vec<u8>; 4]>,
}

fn line(name: &str, values: [&[u8]; 3]) -> [Vec<u8>; 4] {
    let [a, b, c] = values.map(<[u8]>::to_vec);
    [name.as_bytes().to_vec(), a, b, c]
}

impl Move {
    fn take(place: &str, values: [&[u8]; 3]) -> Self {
        Self { from: line(place, values), steps: Vec::new() }
    }

    /// What a claim holds.
    pub(super) fn lease(tag: &[u8]) -> Self {
        Self::take("lease", [tag, b"", b""])
    }

    /// What a claim holds whose lease ran out.
    pub(super) fn expired(tag: &[u8]) -> Self {
        Self::take("expired", [tag, b"", b""])
    }

    /// What a claim held until somebody else restored it.
    pub(super) fn lapsed(tag: &[u8]) -> Self {
        Self::take("lapsed", [tag, b"", b""])
    }

    /// What waits in a list.
    pub(super) fn list(list: &str, raw: &[u8]) -> Self {
        Self::take("list", [list.as_bytes(), raw, b""])
    }

    /// What waits for its moment.
    pub(super) fn delayed(member: &[u8]) -> Self {
        Self::take("delayed", [member, b"", b""])
    }

    /// What was given up.
    pub(super) fn dead(id: &str, track: &str) -> Self {
        Self::take("dead", [id.as_bytes(), track.as_bytes(), b""])
    }

    /// Something new, unless the like of it waits with as much urgency.
    pub(super) fn new(waiting: &str, level: i64, fingerprint: &str) -> Self {
        Self::take("nowhere", [waiting.as_bytes(), level.to_string().as_bytes(), fingerprint.as_bytes()])
    }

    /// Whatever was before.
    pub(super) fn anyway() -> Self {
        Self::take("anywhere", [b"", b"", b""])
    }

    fn then(mut self, name: &str, values: [&[u8]; 3]) -> Self {
        self.steps.push(line(name, values));
        self
    }

    /// It goes to the end of a list.
    pub(super) fn push(self, list: &str, raw: &[u8]) -> Self {
        self.then("push", [list.as_bytes(), raw, b""])
    }

    /// It goes back to where it is claimed next.
    pub(super) fn back(self, list: &str, raw: &[u8]) -> Self {
        self.then("back", [list.as_bytes(), raw, b""])
    }

    /// It goes to a list when it is due, milliseconds since the epoch.
    pub(super) fn later(self, due: i64, list: &str, raw: &[u8]) -> Self {
        self.then("later", [due.to_string().as_bytes(), list.as_bytes(), raw])
    }

    /// Whoever waits is told its result.
    pub(super) fn result(self, key: &str, meta: &str) -> Self {
        self.then("result", [key.as_bytes(), meta.as_bytes(), b""])
    }

    /// It is kept with the reason why it was given up.
    pub(super) fn die(self, id: &str, letter: &str, track: &str) -> Self {
        self.then("die", [id.as_bytes(), letter.as_bytes(), track.as_bytes()])
    }

    /// An earlier failure for this track is forgotten.
    pub(super) fn revive(self, track: &str) -> Self {
        self.then("revive", [track.as_bytes(), b"", b""])
    }

    /// A key of ours goes.
    pub(super) fn forget(self, key: &str) -> Self {
        self.then("forget", [key.as_bytes(), b"", b""])
    }

    /// One more claim ended without a word.
    pub(super) fn lose(self, key: &str) -> Self {
        self.then("lose", [key.as_bytes(), b"", b""])
    }

    /// It is kept among what nobody can read.
    pub(super) fn aside(self, raw: &[u8]) -> Self {
        self.then("aside", [raw, b"", b""])
    }

    /// A space gets lists of its own.
    pub(super) fn space(self, space: &str) -> Self {
        self.then("space", [space.as_bytes(), b"", b""])
    }

    /// The results among its steps, as a move of their own: for a backend elsewhere.
    pub(super) fn split_results(&mut self) -> Option<Self> {
        let results: Vec<_> = self.steps.extract_if(.., |step| step[0] == b"result").collect();
        (!results.is_empty()).then(|| Self { steps: results, ..Self::anyway() })
    }

    /// As the script reads it.
    pub(super) fn write(&self, arguments: &mut Vec<Vec<u8>>) {
        arguments.extend(self.from.iter().cloned());
        arguments.push(self.steps.len().to_string().into_bytes());
        arguments.extend(self.steps.iter().flatten().cloned());
    }
}
