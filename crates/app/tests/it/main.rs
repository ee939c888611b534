//! The whole system: the real binary, real files, the real model, over HTTP and the command line.

mod bad_input;
mod cli;
mod demo_catalogue;
mod kill;
mod model;
mod music_folder;
mod program;
