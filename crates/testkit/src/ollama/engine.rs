//! Where the façade's vectors come from.

use std::io;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Where vectors come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A hash of the text: always the same, and of nothing else.
    Hash,
    /// A llama-server, asked text by text over connections of their own, as Ollama does.
    LlamaServer(SocketAddr),
}

/// Vector and status 200, or what went wrong as Ollama would word it.
pub(super) async fn embed(source: &Source, text: &str, dims: usize) -> Result<Vec<f64>, (u16, String)> {
    let raw = match source {
        Source::Hash => hashed(text, dims),
        Source::LlamaServer(address) => {
            let failed =
                |error: io::Error| (400, format!("do embedding request: Post \"http://{address}/embedding\": {error}"));
            let answer = ask(*address, text).await.map_err(failed)?;
            match answer["data"][0]["embedding"].as_array() {
                Some(numbers) => numbers.iter().filter_map(Value::as_f64).collect(),
                None => return Err((400, answer["error"]["message"].as_str().unwrap_or("no vector").to_owned())),
            }
        }
    };
    let norm = raw.iter().map(|value| value * value).sum::<f64>().sqrt();
    match norm > 0.0 && norm.is_finite() {
        true => Ok(raw.iter().map(|value| value / norm).collect()),
        false => Err((400, "embedding contains NaN or Inf values".to_owned())),
    }
}

async fn ask(address: SocketAddr, text: &str) -> io::Result<Value> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let mut request = Request::new(Full::new(Bytes::from(json!({ "input": text }).to_string())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = "/v1/embeddings".parse().map_err(io::Error::other)?;
    let header = |text: &str| text.parse().map_err(io::Error::other);
    request.headers_mut().insert(HOST, header(&address.to_string())?);
    request.headers_mut().insert(CONTENT_TYPE, header("application/json")?);
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    connection.abort();
    serde_json::from_slice(&body).map_err(io::Error::other)
}

/// SplitMix64 seeded with FNV-1a of the text: numbers between −1 and 1, a little above 0 in the mean, as models have it.
fn hashed(text: &str, dims: usize) -> Vec<f64> {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut state = text.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) >> 11
    };
    (0..dims).map(|_| next() as f64 / (1_u64 << 52) as f64 - 0.9).collect()
}
