//! What answers are taken for vectors.

use std::time::Duration;

use soniquebay_domain::{EmbedError, Embedder, Purpose, Space};
use soniquebay_embed::remote::{
    BreakerState, FaultKind, Protocol, RemoteConfig, RemoteEmbedder, RemoteModel, matryoshka,
};
use soniquebay_testkit::llama_server::LlamaServer;
use soniquebay_testkit::ollama::{Facade, Fault, Settings, Source};

use super::{cosine, embed, embedder, facade, nomic, texts};

/// Vectors of `count` texts, together and each alone, are the same ones in the same order.
async fn together_as_alone(embedder: &RemoteEmbedder, alone: &[Vec<f32>], count: usize) {
    let together = embed(embedder, texts(count)).await.unwrap();
    assert_eq!(together.len(), count);
    for (position, vector) in together.iter().enumerate() {
        assert_eq!(vector.len(), 768);
        let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        assert!((norm - 1.0).abs() < 1e-3, "text {position}: norm {norm}");
        let same = cosine(vector, &alone[position]);
        assert!(same >= 0.9999, "text {position} of {count}: cosine {same} to the text alone");
        let nearest = (0..alone.len()).max_by(|a, b| cosine(vector, &alone[*a]).total_cmp(&cosine(vector, &alone[*b])));
        assert_eq!(nearest, Some(position), "the order is kept");
    }
}

async fn whole_batches(embedder: &RemoteEmbedder) {
    let mut alone = Vec::new();
    for text in texts(64) {
        alone.extend(embed(embedder, vec![text]).await.unwrap());
    }
    for count in [1, 2, 33, 64] {
        together_as_alone(embedder, &alone, count).await;
    }
    let counters = embedder.counters();
    assert_eq!((counters.retries, counters.rejected_answers, counters.texts), (0, 0, 64 + 1 + 2 + 33 + 64));
    assert_eq!(counters.breaker, BreakerState::Closed);
}

/// Contract 1, over `/v1/embeddings` of the real server.
#[tokio::test]
async fn a_real_server_gives_whole_ordered_batches() {
    let server = LlamaServer::start().unwrap();
    let model = RemoteModel::known("nomic-embed-text").unwrap();
    assert_eq!((model.dims, model.context), (LlamaServer::DIMS, Some(LlamaServer::CONTEXT)));
    let config = RemoteConfig::new(Protocol::OpenAi, server.url().parse().unwrap(), model);
    whole_batches(&RemoteEmbedder::new(config).unwrap()).await;
}

/// Contract 1, over Ollama's API, as Ollama stands before the real server.
#[tokio::test]
async fn ollama_over_a_real_server_gives_whole_ordered_batches() {
    let server = LlamaServer::start().unwrap();
    let source = Source::LlamaServer(server.address());
    let facade = Facade::start(Settings { source, ..Settings::new("nomic-embed-text", 768) }).unwrap();
    whole_batches(&embedder(&facade)).await;
    assert_eq!(facade.counters().most_texts, 16, "no request has more texts than is set");
}

#[tokio::test]
async fn openai_style_answers_are_ordered_by_their_index() {
    let facade = facade();
    let mut config = nomic(&facade.url());
    config.protocol = Protocol::OpenAi;
    let (ollama, openai) = (embedder(&facade), RemoteEmbedder::new(config).unwrap());
    let same = (embed(&ollama, texts(20)).await.unwrap(), embed(&openai, texts(20)).await.unwrap());
    assert_eq!(same.0, same.1, "the façade answers OpenAI-style requests in reverse");
}

/// Contract 7: another number of vectors or another length is nobody's vector, and no text's fault.
#[tokio::test]
async fn answers_that_are_not_what_was_asked_for_are_rejected() {
    for (fault, kind) in [
        (Fault::ShortCount, FaultKind::BadAnswer),
        (Fault::NoVectors, FaultKind::BadAnswer),
        (Fault::WrongDims, FaultKind::WrongModel),
        (Fault::Page(200, "text/html", "<html>sign in</html>".into()), FaultKind::BadAnswer),
        (
            Fault::Page(200, "application/json", format!("{{\"x\":\"{}\"}}", "y".repeat(4_000_000))),
            FaultKind::BadAnswer,
        ),
    ] {
        let facade = facade();
        let mut config = nomic(&facade.url());
        config.patience.first_rest = Duration::from_secs(60);
        let embedder = RemoteEmbedder::new(config).unwrap();
        embedder.prepare().await.unwrap();
        let before = facade.counters().requests;
        facade.fail([fault.clone()]);
        let error = embed(&embedder, texts(16)).await.unwrap_err();
        assert!(matches!(error, EmbedError::Unavailable(_)), "no text is to blame for {fault:?}: {error}");
        let counters = embedder.counters();
        assert_eq!(facade.counters().requests - before, 1, "{fault:?} is not asked for again");
        assert_eq!(counters.faults.get(&kind), Some(&1), "{fault:?}");
        assert_eq!((counters.rejected_answers, counters.texts), (1, 0), "{fault:?} raises the alarm");
        assert_eq!(counters.breaker, BreakerState::Open);
        assert!(embedder.health().await.is_err());
    }
}

/// Contract 7: a vector of zeros is no vector; where all are, the model is to blame and no text is given up for it.
#[tokio::test]
async fn zeros_are_no_vectors() {
    let facade = facade();
    let embedder = embedder(&facade);
    embedder.prepare().await.unwrap();
    facade.fail([Fault::Zeros]);
    let error = embed(&embedder, texts(16)).await.unwrap_err();
    assert!(matches!(error, EmbedError::Failed(_)), "one of sixteen may be to blame: {error}");
    assert_eq!(embedder.counters().rejected_answers, 1);

    facade.fail([Fault::Zeros]);
    let error = embed(&embedder, texts(1)).await.unwrap_err();
    assert!(matches!(&error, EmbedError::Refused(reason) if reason.contains("zeros")), "{error}");
    // A second one in a row is not believed: another text is tried, and has zeros too.
    facade.fail([Fault::Zeros, Fault::Zeros]);
    let error = embed(&embedder, texts(1)).await.unwrap_err();
    assert!(matches!(&error, EmbedError::Unavailable(reason) if reason.contains("not even")), "{error}");
    let counters = embedder.counters();
    assert_eq!((counters.refused_texts, counters.texts), (1, 0));
}

/// Contract 10: the prefix is sent, and makes another space.
#[tokio::test]
async fn prefixes_are_sent_and_make_another_space() {
    let facade = facade();
    let with = embedder(&facade);
    let document = embed(&with, vec!["Jóga".into()]).await.unwrap();
    assert_eq!(facade.counters().latest, ["search_document: Jóga"]);
    let query = with.embed(vec!["Jóga".into()], Purpose::Query).await.unwrap();
    assert_eq!(facade.counters().latest, ["search_query: Jóga"]);
    assert_ne!(document, query);
    embed(&with, vec!["  ".into()]).await.unwrap();
    assert_eq!(facade.counters().latest, ["search_document: unknown track"]);

    let mut config = nomic(&facade.url());
    (config.model.document_prefix, config.model.query_prefix) = (String::new(), String::new());
    let without = RemoteEmbedder::new(config).unwrap();
    embed(&without, vec!["Jóga".into()]).await.unwrap();
    assert_eq!(facade.counters().latest, ["Jóga"]);
    let space = |embedder: &RemoteEmbedder| {
        let model = &embedder.config().model;
        Space::new(embedder.model(), embedder.dims(), &format!("phrase-1+{}", model.revision())).unwrap()
    };
    assert_ne!(space(&with), space(&without));
}

/// Contract 10: shortened vectors are the ones of the model's card, layer norm, slice, L2, and a space of their own.
#[tokio::test]
async fn shortened_vectors_are_those_of_the_models_card() {
    let facade = facade();
    let full = embed(&embedder(&facade), texts(5)).await.unwrap();
    let mut config = nomic(&facade.url());
    config.model.shortened_to = Some(256);
    let revision = config.model.revision();
    assert_ne!(revision, nomic(&facade.url()).model.revision());
    let embedder = RemoteEmbedder::new(config).unwrap();
    assert_eq!(embedder.dims(), 256);
    let short = embed(&embedder, texts(5)).await.unwrap();
    for (full, short) in full.iter().zip(&short) {
        let card = layer_norm_slice_l2(full, 256);
        let furthest = short.iter().zip(&card).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(furthest < 1e-6, "off by {furthest}");
        let plain = cosine(short, &full[..256]);
        assert!(plain < 0.9999, "Ollama's own `dimensions` would give others: cosine {plain}");
    }
    assert_eq!(matryoshka(&[1.0, 1.0], 2), None, "no direction is left");
    assert_eq!((matryoshka(&[1.0], 0), matryoshka(&[1.0], 2)), (None, None));
}

/// As the model's card has it, in the order of its code.
fn layer_norm_slice_l2(vector: &[f32], dims: usize) -> Vec<f64> {
    let count = vector.len() as f64;
    let mean = vector.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let variance = vector.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
    let normed: Vec<f64> = vector.iter().map(|value| (f64::from(*value) - mean) / (variance + 1e-5).sqrt()).collect();
    let norm = normed[..dims].iter().map(|value| value * value).sum::<f64>().sqrt();
    normed[..dims].iter().map(|value| value / norm).collect()
}

#[tokio::test]
async fn a_model_of_another_length_is_never_used() {
    let facade = Facade::start(Settings::new("nomic-embed-text", 512)).unwrap();
    let embedder = embedder(&facade);
    let error = embed(&embedder, texts(1)).await.unwrap_err();
    assert!(matches!(&error, EmbedError::Unavailable(reason) if reason.contains("512 dimensions, and 768")), "{error}");
    assert_eq!(facade.counters().requests, 0, "what the server says of the model is enough");
    // OpenAI-style servers say nothing: the first vector tells.
    let mut config = nomic(&facade.url());
    config.protocol = Protocol::OpenAi;
    config.patience.first_rest = Duration::from_secs(60);
    let openai = RemoteEmbedder::new(config).unwrap();
    let error = embed(&openai, texts(1)).await.unwrap_err();
    assert!(matches!(&error, EmbedError::Unavailable(reason) if reason.contains("512")), "{error}");
    let error = openai.health().await.unwrap_err();
    assert!(error.to_string().contains("asked again in"), "{error}");
}
