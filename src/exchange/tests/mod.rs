//! The use case over a real log on a real SQLite file, real policies and real tokens.

mod deliveries;
mod elevations;
mod facts;
mod narrowing;
mod replicas;
mod sts;
mod world;
