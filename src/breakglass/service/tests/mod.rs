//! The use case over a real log on a real SQLite file, real policies and real locks. Refusals first: they are the product.

mod clockwork;
mod cloud;
mod people;
mod races;
mod reading;
mod refusals;
mod replicas;
mod sick;
mod windows;
pub(super) mod world;
