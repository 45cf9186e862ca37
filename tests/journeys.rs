//! Journeys: the broker's binary, started as an operator starts it, among programs of other people. One test binary, so
//! that it is linked once. Each test is its own world: own broker, own issuer, own folder, own ports.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, helpers included"
)]
#![expect(clippy::indexing_slicing, clippy::print_stdout, reason = "test code")]
#![expect(clippy::disallowed_methods, reason = "real processes are waited for by the wall clock")]

mod harness;

mod journeys {
    //! One file per promise.

    mod agent_cost;
    mod agent_keeps_to_itself;
    mod agent_outage;
    mod agent_sdk;
    mod aws_access_ends;
    mod aws_deliveries;
    mod aws_docs;
    mod aws_plumbing;
    mod aws_sessions_end_early;
    mod aws_web_identity;
    mod break_glass_kill_nine;
    mod break_glass_story;
    mod checkpoint_verifiers;
    mod command_line;
    mod exec;
    mod full_disk;
    mod issuer_key_rotation;
    mod key_custody;
    mod key_custody_kms;
    mod kill_nine;
    mod notification_signature;
    mod policy_explain;
    mod replicas_under_faults;
    mod rolling_upgrade;
    mod sdk_doors;
    mod sdk_private_authority;
    mod secrets_stay_inside;
    mod session_policy_never_widens;
    mod store_backup;
    mod store_moves;
    mod stranger;
    mod token_exchange_clients;
    mod vendor_bundle;
    mod vendor_review;
    mod workload_to_jwt;
}
