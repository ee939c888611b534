//! The caches of embeddings, asked what the port promises.

use std::sync::Arc;

use soniquebay_domain::{EmbeddingCache, TextKey};
use soniquebay_store::redis::RedisCache;
use soniquebay_testkit::redis::RedisServer;

use crate::{Fixture, on_each_store};

on_each_store!(the_database_keeps_the_newest);

fn key(number: u8) -> TextKey {
    [number; 32]
}

fn numbers(of: u8) -> Vec<f32> {
    vec![f32::from(of), -0.0, f32::MIN_POSITIVE, 1.0 / 3.0]
}

async fn keeps_what_it_was_told(cache: &dyn EmbeddingCache) {
    assert_eq!(cache.get(vec![key(1), key(2)]).await.unwrap(), [None, None]);
    cache.put(vec![(key(1), numbers(1)), (key(2), numbers(2))]).await.unwrap();
    cache.put(vec![(key(2), numbers(2)), (key(3), numbers(3))]).await.unwrap();
    let found = cache.get(vec![key(3), key(9), key(1), key(3)]).await.unwrap();
    let bits = |vector: &Option<Vec<f32>>| vector.as_ref().map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
    let told = [Some(numbers(3)), None, Some(numbers(1)), Some(numbers(3))];
    assert_eq!(found.iter().map(bits).collect::<Vec<_>>(), told.iter().map(bits).collect::<Vec<_>>());
    assert_eq!(cache.get(Vec::new()).await.unwrap(), Vec::<Option<Vec<f32>>>::new());
    cache.put(Vec::new()).await.unwrap();
}

async fn the_database_keeps_the_newest(fixture: Fixture) {
    keeps_what_it_was_told(&*fixture.store.embedding_cache(100)).await;
    let small = fixture.store.embedding_cache(5);
    for number in 10..20 {
        small.put(vec![(key(number), numbers(number))]).await.unwrap();
    }
    let held = small.get((0..20).map(key).collect()).await.unwrap();
    let held: Vec<usize> = (0..20).filter(|number| held[*number].is_some()).collect();
    assert_eq!(held, [15, 16, 17, 18, 19]);
}

#[tokio::test]
async fn redis_keeps_and_shares_it_and_may_go_away() {
    let server = RedisServer::start();
    let cache = RedisCache::new(&server.url()).unwrap();
    keeps_what_it_was_told(&cache).await;
    let elsewhere = RedisCache::new(&server.url()).unwrap();
    assert_eq!(elsewhere.get(vec![key(1)]).await.unwrap(), [Some(numbers(1))]);

    let port = server.port();
    drop(server);
    assert!(cache.get(vec![key(1)]).await.is_err(), "away is an error, not a hang");
    let _again = RedisServer::start_on(port);
    assert_eq!(cache.get(vec![key(1)]).await.unwrap(), [None], "connected anew by itself");
    cache.put(vec![(key(1), numbers(1))]).await.unwrap();
    assert_eq!(Arc::new(cache).get(vec![key(1)]).await.unwrap(), [Some(numbers(1))]);
}

#[test]
fn an_address_that_is_none_is_refused() {
    for url in ["", "http://127.0.0.1", "redis://", "127.0.0.1:6379"] {
        assert!(RedisCache::new(url).is_err() || url == "redis://", "{url}");
    }
}
