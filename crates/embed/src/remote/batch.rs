//! From texts as they come to requests as a server takes them.

use super::config::{Protocol, RemoteLimits};

/// Embedded where there is nothing to embed: a server makes no vector of no text, or a meaningless one.
const BLANK: &str = "unknown track";

/// What is shown of a text in a log.
const FIRST_WORDS: usize = 60;

/// Where the server does not cut a text, we do, at so many bytes a token: English has about four and a half.
const SAFE_BYTES_A_TOKEN: usize = 3;

/// Where it does, only what it would never reach is cut here.
const MOST_BYTES_A_TOKEN: usize = 16;

/// The beginning and the end of a text are tokens too.
pub(crate) const MARKS: usize = 2;

/// One text as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) sent: String,
    /// Whether it was cut here.
    pub(crate) cut: bool,
    /// Whether the server might cut it. Such a text is sent alone, as only then the count of tokens tells.
    pub(crate) may_be_cut: bool,
}

impl Text {
    /// A text with its prefix, not longer than it may be for a model that reads `context` tokens.
    pub(crate) fn new(text: &str, prefix: &str, protocol: Protocol, context: Option<usize>, most: usize) -> Self {
        let mut sent = match text.trim() {
            "" => format!("{prefix}{BLANK}"),
            _ => format!("{prefix}{text}"),
        };
        let bytes_a_token = match protocol {
            Protocol::Ollama => MOST_BYTES_A_TOKEN,
            Protocol::OpenAi => SAFE_BYTES_A_TOKEN,
        };
        let most = context.map_or(most, |tokens| tokens.saturating_mul(bytes_a_token).min(most));
        let cut = sent.len() > most;
        sent.truncate(sent.floor_char_boundary(most));
        // Each token covers a byte at least.
        let may_be_cut = protocol == Protocol::Ollama && context.is_some_and(|tokens| sent.len() + MARKS > tokens);
        Self { sent, cut, may_be_cut }
    }

    pub(crate) fn first_words(&self) -> &str {
        &self.sent[..self.sent.floor_char_boundary(FIRST_WORDS)]
    }
}

/// How many of these texts go into the next request.
pub(crate) fn first_request(texts: &[Text], limits: &RemoteLimits) -> usize {
    let mut characters = 0;
    let fits = |text: &&Text| {
        characters += text.sent.len();
        characters <= limits.characters && !text.may_be_cut
    };
    // The first goes in any case.
    texts.iter().take(limits.texts).take_while(fits).count().max(1).min(texts.len())
}

#[cfg(test)]
mod tests {
    use super::{BLANK, Protocol, RemoteLimits, Text, first_request};

    fn text(text: &str) -> Text {
        Text::new(text, "", Protocol::Ollama, Some(2048), 16_000)
    }

    #[test]
    fn requests_are_bounded_by_texts_and_characters() {
        let limits = RemoteLimits { texts: 3, characters: 10, ..RemoteLimits::default() };
        let request = |texts: &[&str]| first_request(&texts.iter().map(|t| text(t)).collect::<Vec<_>>(), &limits);
        assert_eq!(request(&["a", "b", "c", "d"]), 3);
        assert_eq!(request(&["aaaaa", "bbbbb", "c"]), 2);
        assert_eq!(request(&["aaaaaaaaaaaa", "b"]), 1, "what is too long for any request goes alone");
        assert_eq!(request(&[]), 0);
    }

    #[test]
    fn what_the_server_may_cut_goes_alone() {
        let limits = RemoteLimits::default();
        let long = text(&"rock ".repeat(500));
        assert!(long.may_be_cut && !long.cut);
        assert_eq!(first_request(&[text("a"), long.clone(), text("b")], &limits), 1);
        assert_eq!(first_request(&[long, text("b")], &limits), 1);
    }

    #[test]
    fn texts_are_prefixed_and_cut_at_characters() {
        let nomic = Text::new("Jóga", "search_document: ", Protocol::Ollama, Some(2048), 16_000);
        assert_eq!(nomic, Text { sent: "search_document: Jóga".into(), cut: false, may_be_cut: false });
        assert_eq!(text(" \n").sent, BLANK);
        let cut = Text::new(&"é".repeat(1000), "", Protocol::OpenAi, Some(101), 16_000);
        assert_eq!((cut.sent.len(), cut.cut, cut.may_be_cut), (302, true, false));
        assert_eq!(cut.first_words().chars().count(), 30);
        let unknown = Text::new(&"é".repeat(10_000), "", Protocol::OpenAi, None, 16_000);
        assert_eq!(unknown.sent.len(), 16_000);
    }
}
