//! Texts that are longer than the model reads.

use std::io;
use std::sync::{Arc, Mutex};

use soniquebay_domain::EmbedError;
use soniquebay_embed::remote::{FaultKind, Protocol, RemoteConfig, RemoteEmbedder, RemoteModel};
use soniquebay_testkit::llama_server::LlamaServer;

use super::{embed, embedder, facade};

/// Each word is a token of the tiny model.
fn long() -> String {
    "rock ".repeat(3002)
}

/// What is logged while it lives, on this thread.
struct Log {
    lines: Arc<Mutex<Vec<u8>>>,
    _logged: tracing::subscriber::DefaultGuard,
}

impl Log {
    fn new() -> Self {
        let lines = Arc::<Mutex<Vec<u8>>>::default();
        let writer = Lines(Arc::clone(&lines));
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        Self { lines, _logged: tracing::subscriber::set_default(subscriber) }
    }

    fn text(&self) -> String {
        String::from_utf8(self.lines.lock().unwrap().clone()).unwrap()
    }
}

#[derive(Clone)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Contract 9: what the real server refuses as too large is refused so, and its neighbours are not.
#[tokio::test]
async fn a_text_that_a_server_refuses_as_too_long_is_told_as_such() {
    let server = LlamaServer::start().unwrap();
    // Nothing is known of the model, so nothing is cut.
    let model = RemoteModel::new("own-model", LlamaServer::DIMS);
    let embedder =
        RemoteEmbedder::new(RemoteConfig::new(Protocol::OpenAi, server.url().parse().unwrap(), model)).unwrap();
    let error = embed(&embedder, vec!["jazz".into(), long(), "pop".into()]).await.unwrap_err();
    assert!(matches!(error, EmbedError::Failed(_)), "one of three is to blame: {error}");
    let error = embed(&embedder, vec![long()]).await.unwrap_err();
    assert!(matches!(&error, EmbedError::Refused(reason) if reason.contains("too large")), "{error}");
    let counters = embedder.counters();
    assert_eq!((counters.faults.get(&FaultKind::TooLong), counters.retries), (Some(&2), 0));
    assert_eq!(embed(&embedder, vec!["jazz".into(), "pop".into()]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn where_the_server_does_not_cut_we_do() {
    let server = LlamaServer::start().unwrap();
    let model = RemoteModel::known("nomic-embed-text").unwrap();
    let config = RemoteConfig::new(Protocol::OpenAi, server.url().parse().unwrap(), model);
    let embedder = RemoteEmbedder::new(config).unwrap();
    let log = Log::new();
    assert_eq!(embed(&embedder, vec!["jazz".into(), long(), "pop".into()]).await.unwrap().len(), 3);
    assert_eq!(embedder.counters().truncated_texts, 1);
    let log = log.text();
    assert!(log.contains("longer than the model reads") && log.contains("search_document: rock rock"), "{log}");
}

/// Contract 9: what Ollama cuts in silence is said aloud.
#[tokio::test]
async fn what_ollama_cuts_is_said_aloud() {
    let facade = facade();
    let embedder = embedder(&facade);
    let log = Log::new();
    // Many bytes and few tokens: long enough to be looked at, and not too long.
    let wide = "electronic ".repeat(300);
    let vectors = embed(&embedder, vec!["jazz".into(), long(), wide, "pop".into()]).await.unwrap();
    assert_eq!(vectors.len(), 4);
    assert_eq!(embedder.counters().truncated_texts, 1);
    let log = log.text();
    assert!(log.contains("longer than the model reads") && log.contains("search_document: rock rock"), "{log}");
    assert!(!log.contains("electronic"), "{log}");
    let cut = embed(&embedder, vec!["rock ".repeat(2045).trim_end().to_owned()]).await.unwrap();
    assert_eq!(cut[0], vectors[1], "the façade reads 2,046 words, and the prefix is one");
}
