//! Embeddings computed in this process: all-MiniLM-L6-v2 on the CPU, in pure Rust.
//!
//! The path of a text: `tokenizer`, `batch`, then `bert`, which is embeddings, per layer the products of `matrix`, the
//! `attention` among its tokens and the steps of `elementwise`, and at the end one unit vector. `embedder` runs all that
//! on threads of its own, behind the port of the domain.
//!
//! Invariants:
//! - `unsafe` appears only in `kernels`, behind one bounds check per panel product and an [`Isa`] value as proof of
//!   processor support.
//! - A text's vector does not depend on its batch, bit for bit, and differs between instruction sets only by rounding.
//! - A damaged model file gives a [`ModelError`], never a panic.

#![deny(unsafe_code)]

mod attention;
mod batch;
mod bert;
mod elementwise;
mod embedder;
mod error;
#[allow(unsafe_code)] // See the first invariant.
mod kernels;
mod lanes;
mod matrix;
mod model;
mod tokenizer;
mod weights;

pub use bert::{ALL_MINILM_L6_V2, BertConfig, Scratch};
pub use embedder::LocalEmbedder;
pub use error::ModelError;
pub use kernels::Isa;
pub use model::LocalModel;
