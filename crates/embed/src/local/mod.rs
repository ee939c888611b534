//! Embeddings computed in this process: all-MiniLM-L6-v2 on the CPU, in pure Rust.
//!
//! The path of a text: `tokenizer`, `batch`, then `bert`, which is embeddings, per layer the products of `matrix`, the
//! `attention` among its tokens and the steps of `elementwise`, and at the end one unit vector. `embedder` runs all that
//! on threads of its own, behind the port of the domain.
//!
//! The path of the weights: `weights` reads them, `matrix` lays them out (in 8 bits through `quantise`) as sections of an
//! `image`, `packed` keeps that image in a file for the next start.
//!
//! Invariants:
//! - `unsafe` appears in `kernels`, behind one bounds check per panel product and an [`Isa`] value as proof of
//!   processor support, and in `image`, where a file is mapped.
//! - A text's vector does not depend on its batch, bit for bit, nor on the instruction set, but for the portable one, which
//!   rounds differently.
//! - A damaged model file gives a [`ModelError`], never a panic.

#![deny(unsafe_code)]

mod attention;
mod batch;
mod bert;
mod elementwise;
mod embedder;
mod error;
mod image;
#[allow(unsafe_code)] // See the first invariant.
mod kernels;
mod lanes;
#[cfg(test)]
mod made_up;
mod matrix;
mod model;
mod packed;
mod precision;
mod quantise;
mod tokenizer;
mod weights;

pub use bert::{ALL_MINILM_L6_V2, BertConfig, Scratch};
pub use embedder::LocalEmbedder;
pub use error::ModelError;
pub use kernels::Isa;
pub use model::LocalModel;
pub use precision::Precision;
