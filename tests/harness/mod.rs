//! What the journeys stand on: real processes with guards. Every guard picks a free loopback port, waits until its
//! process is ready (bounded), keeps its output for the message of a failing test, and ends it when dropped.

#![allow(dead_code, reason = "each test binary uses its own part of the harness")]

pub(crate) mod agent;
pub(crate) mod aws;
pub(crate) mod broker;
pub(crate) mod certificates;
pub(crate) mod chance;
pub(crate) mod clients;
pub(crate) mod cluster;
pub(crate) mod http;
pub(crate) mod issuer;
pub(crate) mod log;
pub(crate) mod people;
pub(crate) mod policies;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod relay;
pub(crate) mod sdk;
pub(crate) mod tokens;
pub(crate) mod tools;
pub(crate) mod web_identity;
pub(crate) mod wire;

pub(crate) use broker::{Broker, Setup, StoreKind, on_both_stores};
pub(crate) use issuer::OidcProvider;
pub(crate) use people::Company;
