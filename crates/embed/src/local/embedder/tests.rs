//! On a model of one small layer with made-up weights, so that no file has to be fetched.

use std::time::Duration;

use soniquebay_domain::{EmbedError, Embedder, Purpose};

use super::*;
use crate::local::kernels::Isa;
use crate::local::made_up::{TINY, write_tokenizer, write_weights};
use crate::local::precision::Precision;

fn tiny_model(precision: Precision) -> Arc<LocalModel> {
    let folder = tempfile::tempdir().unwrap();
    write_weights(folder.path());
    write_tokenizer(folder.path());
    Arc::new(LocalModel::load_with(folder.path(), TINY, precision, Isa::detect()).unwrap())
}

fn start(workers: usize) -> LocalEmbedder {
    LocalEmbedder::start(tiny_model(Precision::Fp32), NonZeroUsize::new(workers).unwrap()).unwrap()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[tokio::test]
async fn many_texts_come_back_in_order_from_many_workers() {
    let embedder = start(3);
    let words = ["a", "b c", "c a b", "b", "c c c c"];
    let many: Vec<String> = (0..500).map(|index| words[index * 7 % words.len()].to_owned()).collect();
    let vectors = embedder.embed(many.clone(), Purpose::Document).await.unwrap();
    let model = tiny_model(Precision::Fp32);
    assert_eq!(vectors, model.encode(&mut Scratch::default(), &many).unwrap());
}

#[tokio::test]
async fn no_texts_give_no_vectors() {
    assert!(start(1).embed(Vec::new(), Purpose::Query).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_bad_text_fails_its_job_and_no_other() {
    for precision in Precision::ALL {
        let embedder = LocalEmbedder::start(tiny_model(precision), NonZeroUsize::MIN).unwrap();
        for bad in ["a poison", "outside"] {
            let (first, second) = tokio::join!(
                embedder.embed(texts(&["a", bad, "b"]), Purpose::Document),
                embedder.embed(texts(&["a", "b"]), Purpose::Document),
            );
            assert!(matches!(first, Err(EmbedError::Failed(_))), "{bad}: {first:?}");
            assert_eq!(second.unwrap().len(), 2);
        }
    }
}

#[test]
fn a_panic_becomes_an_error_that_tells_the_reason() {
    let error = guard::<()>(|| panic!("row {} is missing", 7)).unwrap_err();
    assert_eq!(error, EmbedError::Failed("the engine panicked: row 7 is missing".to_owned()));
}

#[tokio::test]
async fn a_worker_survives_a_panic() {
    let embedder = start(1);
    // A token beyond the weights: the tokenizer never lets that through, so hand it in behind its back.
    let (reply, answer) = oneshot::channel();
    let unsent = Unsent { reply, vectors: vec![Vec::new()], missing: 1 };
    let answer_slot = Arc::new(Answer(Mutex::new(Some(unsent))));
    let unknown = Batch { answer: answer_slot, texts: vec![vec![99]], positions: vec![0] };
    embedder.queue.add_pieces([unknown], Purpose::Document);
    assert!(matches!(answer.await.unwrap(), Err(EmbedError::Failed(reason)) if reason.contains("panicked")));
    assert_eq!(embedder.embed(texts(&["a"]), Purpose::Document).await.unwrap().len(), 1);
}

#[tokio::test]
async fn callers_of_a_dropped_embedder_are_told() {
    let model = tiny_model(Precision::Fp32);
    let queue = Arc::new(Lanes::new());
    // No workers: the job is still waiting when the embedder goes.
    let embedder = LocalEmbedder { model, queue: queue.clone(), workers: Vec::new() };
    let (reply, answer) = oneshot::channel();
    queue.submit(Job { texts: texts(&["a"]), reply }, Purpose::Query).unwrap();
    drop(embedder);
    assert!(tokio::time::timeout(Duration::from_secs(5), answer).await.unwrap().is_err());
}

#[tokio::test]
async fn too_many_waiting_jobs_are_refused() {
    let embedder =
        LocalEmbedder { model: tiny_model(Precision::Fp32), queue: Arc::new(Lanes::new()), workers: Vec::new() };
    let mut waiting = Vec::new();
    loop {
        let (reply, answer) = oneshot::channel();
        if embedder.queue.submit(Job { texts: texts(&["a"]), reply }, Purpose::Query).is_err() {
            break;
        }
        waiting.push(answer);
    }
    assert_eq!(embedder.embed(texts(&["a"]), Purpose::Query).await, Err(EmbedError::Overloaded));
}

#[test]
fn work_nobody_waits_for_is_left_undone() {
    let (reply, answer) = oneshot::channel();
    let slot = Answer(Mutex::new(Some(Unsent { reply, vectors: vec![Vec::new()], missing: 1 })));
    assert!(slot.is_awaited());
    drop(answer);
    assert!(!slot.is_awaited());
}
