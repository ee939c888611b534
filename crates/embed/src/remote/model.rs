//! What must be known of a model on a server: how long its vectors are, how much it reads, what it wants before a text.

use soniquebay_domain::{Purpose, Space};

/// An embedding model on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteModel {
    /// As the server names it: `nomic-embed-text`, `nomic-embed-text:v1.5`, `intfloat/multilingual-e5-small`.
    pub name: String,
    /// Length of its vectors, as the server answers them.
    pub dims: usize,
    /// Tokens that it reads of a text, where known. A smaller number that the server tells is believed.
    pub context: Option<usize>,
    /// Written before every stored text. Servers add no prefix by themselves.
    pub document_prefix: String,
    /// Written before every typed text.
    pub query_prefix: String,
    /// The length that vectors are shortened to, for models that were trained so that it can be done
    /// (see [`matryoshka`](crate::remote::matryoshka)).
    pub shortened_to: Option<usize>,
}

/// Name, dims, context, document prefix, query prefix.
type Known = (&'static str, usize, usize, &'static str, &'static str);

const RETRIEVAL: &str = "Represent this sentence for searching relevant passages: ";

/// From the models' own cards. Contexts are those of the files that Ollama serves: nomic-embed-text is cut at 2,048
/// tokens there and all-minilm at 256, whatever their cards say.
const KNOWN: [Known; 9] = [
    ("nomic-embed-text", 768, 2048, "search_document: ", "search_query: "),
    ("nomic-embed-text-v1.5", 768, 2048, "search_document: ", "search_query: "),
    ("all-minilm", 384, 256, "", ""),
    ("all-MiniLM-L6-v2", 384, 256, "", ""),
    ("mxbai-embed-large", 1024, 512, "", RETRIEVAL),
    ("bge-m3", 1024, 8192, "", ""),
    ("multilingual-e5-small", 384, 512, "passage: ", "query: "),
    ("multilingual-e5-base", 768, 512, "passage: ", "query: "),
    ("multilingual-e5-large", 1024, 512, "passage: ", "query: "),
];

impl RemoteModel {
    /// A model of which the caller knows the length of its vectors and nothing else: no prefixes, no known context.
    pub fn new(name: &str, dims: usize) -> Self {
        Self {
            name: name.to_owned(),
            dims,
            context: None,
            document_prefix: String::new(),
            query_prefix: String::new(),
            shortened_to: None,
        }
    }

    /// A model that is known by its name, whatever owner stands before it and whatever tag behind. `None` for others, and
    /// for tags that name a size, as those have other lengths.
    pub fn known(name: &str) -> Option<Self> {
        let (plain, tag) = name.rsplit('/').next()?.split_once(':').unwrap_or((name.rsplit('/').next()?, "latest"));
        let sized = tag.split('-').any(|part| part.strip_suffix(['m', 'b']).is_some_and(|n| n.parse::<f32>().is_ok()));
        let &(_, dims, context, document, query) = KNOWN.iter().find(|known| known.0.eq_ignore_ascii_case(plain))?;
        if sized {
            return None;
        }
        Some(Self {
            context: Some(context),
            document_prefix: document.to_owned(),
            query_prefix: query.to_owned(),
            ..Self::new(name, dims)
        })
    }

    /// Length of the vectors that are given out.
    pub fn given_dims(&self) -> usize {
        self.shortened_to.unwrap_or(self.dims)
    }

    /// The name as a [`Space`] may bear it: `:latest` means nothing, and what a space's name cannot hold becomes a dash.
    pub fn space_name(&self) -> String {
        let name = self.name.strip_suffix(":latest").unwrap_or(&self.name);
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-._+".contains(c) { c } else { '-' };
        name.chars().map(plain).collect()
    }

    /// What decides its vectors beside the name and the length, as a part of a [`Space`]'s revision: vectors of different prefixes are
    /// never compared. Empty where the texts go as they are.
    pub fn revision(&self) -> String {
        let mut parts = Vec::new();
        if !self.document_prefix.is_empty() || !self.query_prefix.is_empty() {
            parts.push(format!("{}+{}", plain_words(&self.document_prefix), plain_words(&self.query_prefix)));
        }
        if let Some(dims) = self.shortened_to {
            parts.push(format!("{}to{dims}", self.dims));
        }
        parts.join("+")
    }

    pub(super) fn prefix(&self, purpose: Purpose) -> &str {
        match purpose {
            Purpose::Document => &self.document_prefix,
            Purpose::Query => &self.query_prefix,
        }
    }

    /// Why it cannot be used, where it cannot.
    pub(super) fn fault(&self) -> Option<String> {
        let dims = |dims: usize| (1..=Space::MAX_DIMS).contains(&dims);
        if self.name.trim().is_empty() || self.name.len() > 256 {
            return Some("the model has no name, or one of more than 256 bytes".to_owned());
        }
        if !dims(self.dims) || self.shortened_to.is_some_and(|to| !dims(to) || to > self.dims) {
            return Some(format!("{} has an impossible number of dimensions", self.name));
        }
        None
    }
}

/// A prefix as a name can hold it: short ones by their words, long ones by their hash.
fn plain_words(prefix: &str) -> String {
    let words: String =
        prefix.trim_end_matches([' ', ':']).chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    // FNV-1a, 32 bit: enough to tell prefixes apart, and the same for ever.
    let hash = prefix.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    match words.len() {
        0 => "plain".to_owned(),
        1..=20 if prefix == format!("{words}: ") => words,
        _ => format!("{hash:08x}"),
    }
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{Purpose, Space};

    use super::{KNOWN, RemoteModel};

    #[test]
    fn known_models_are_found_by_any_of_their_names() {
        for name in
            ["nomic-embed-text", "nomic-embed-text:latest", "nomic-embed-text:v1.5", "nomic-ai/nomic-embed-text-v1.5"]
        {
            let model = RemoteModel::known(name).unwrap();
            assert_eq!((model.dims, model.context), (768, Some(2048)), "{name}");
            assert_eq!(model.prefix(Purpose::Document), "search_document: ");
            assert_eq!(model.prefix(Purpose::Query), "search_query: ");
        }
        assert_eq!(RemoteModel::known("all-minilm").unwrap().prefix(Purpose::Document), "");
        assert_eq!(RemoteModel::known("all-minilm:33m"), None, "another size has other vectors");
        assert_eq!(RemoteModel::known("own-model"), None);
    }

    #[test]
    fn what_decides_a_vector_is_in_its_space() {
        let mut model = RemoteModel::known("nomic-embed-text").unwrap();
        assert_eq!(model.revision(), "search_document+search_query");
        model.shortened_to = Some(256);
        assert_eq!((model.revision().as_str(), model.given_dims()), ("search_document+search_query+768to256", 256));
        model.query_prefix = "search_query:".to_owned();
        assert_ne!(model.revision(), "search_document+search_query+768to256", "a space makes another prefix");
        for known in KNOWN {
            let model = RemoteModel::known(known.0).unwrap();
            Space::new(&model.space_name(), model.given_dims(), &format!("phrase-1+{}", model.revision())).unwrap();
        }
        assert_eq!(RemoteModel::new("owner/own:q4", 4).space_name(), "owner-own-q4");
    }
}
