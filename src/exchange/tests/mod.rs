//! The use case over a real log on a real SQLite file, real policies and real tokens.

mod elevations;
mod narrowing;
mod world;
