//! Tidegate: a workload's OIDC token in, a minutes-long scoped credential out.
//!
//! The map. Data flows one way: door → `exchange` → `policy` → `issuance` → `audit` → door. `tests/house.rs` holds who
//! may import whom.

// ground: values and two tiny ports
pub mod claims;
pub mod clock;
pub mod document;
pub mod entropy;
pub mod ids;
pub mod network;
pub mod secret;
pub mod span;
pub mod telemetry;

// rooms
pub mod audit;
pub mod breakglass;
pub mod cli;
pub mod config;
pub mod custody;
pub mod exchange;
pub mod explain;
pub mod federation;
pub mod grants;
pub mod http;
pub mod issuance;
pub mod keys;
pub mod locks;
pub mod notify;
pub mod people;
pub mod policy;
pub mod principal;
pub mod proof;
pub mod server;
pub mod store;
pub mod tokens;
