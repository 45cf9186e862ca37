//! Names of what is measured, and how. Knows metric families and their bounded labels; refuses every label that a
//! caller can choose: no subject, no token, no address ever becomes a time series.

use std::time::Duration;

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// The four steps of an exchange that are measured one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Token to principal.
    Verify,
    /// Policy.
    Decide,
    /// The credential is made.
    Issue,
    /// The entry becomes durable.
    Record,
}

impl Step {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Decide => "decide",
            Self::Issue => "issue",
            Self::Record => "record",
        }
    }
}

/// Upper bounds in seconds for every histogram of durations: 50 µs to 10 s.
pub const SECONDS_BUCKETS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// Upper bounds for how many entries share a commit.
pub const COUNT_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Upper bounds for shares of a limit.
pub const PERCENT_BUCKETS: [f64; 8] = [5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 100.0];

/// Histograms of the exchange, looked up once: a lookup per observation would cost more than some steps.
#[derive(Clone)]
pub struct ExchangeMetrics {
    steps: [Histogram; 4],
    issued_jwt: Counter,
    issued_aws: Counter,
    delivered: Counter,
}

impl std::fmt::Debug for ExchangeMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExchangeMetrics")
    }
}

impl Default for ExchangeMetrics {
    fn default() -> Self {
        let step = |step: Step| histogram!("tidegate_exchange_step_seconds", "step" => step.as_str());
        Self {
            steps: [step(Step::Verify), step(Step::Decide), step(Step::Issue), step(Step::Record)],
            issued_jwt: counter!("tidegate_credentials_issued_total", "kind" => "jwt"),
            issued_aws: counter!("tidegate_credentials_issued_total", "kind" => "aws"),
            delivered: counter!("tidegate_credential_deliveries_total"),
        }
    }
}

impl ExchangeMetrics {
    /// One step took this long, whatever came of it.
    pub fn step(&self, step: Step, took: Duration) {
        let [verify, decide, issue, record] = &self.steps;
        let histogram = match step {
            Step::Verify => verify,
            Step::Decide => decide,
            Step::Issue => issue,
            Step::Record => record,
        };
        histogram.record(took.as_secs_f64());
    }

    /// A credential left that was issued before, on the entry of its issue.
    pub fn delivered(&self) {
        self.delivered.increment(1);
    }

    /// A credential left, with an entry of its own.
    pub fn issued(&self, kind: &'static str) {
        if kind == "aws" { self.issued_aws.increment(1) } else { self.issued_jwt.increment(1) }
    }
}

/// A caller was refused, for a reason out of a closed list.
pub fn refused(reason: &'static str) {
    counter!("tidegate_refusals_total", "reason" => reason).increment(1);
}

/// We could not answer, for a reason out of a closed list.
pub fn faulted(reason: &'static str) {
    counter!("tidegate_faults_total", "reason" => reason).increment(1);
}

/// So many deliveries are counted in memory and in no entry yet.
#[expect(clippy::cast_precision_loss, reason = "a gauge has no other number; exact up to 2^53")]
pub fn deliveries_unrecorded(count: u64) {
    gauge!("tidegate_credential_deliveries_unrecorded").set(count as f64);
}

/// Gives every family its unit and help text.
pub fn describe() {
    describe_histogram!(
        "tidegate_exchange_step_seconds",
        Unit::Seconds,
        "Time in one step of an exchange: verify, decide, issue, record"
    );
    describe_counter!(
        "tidegate_credentials_issued_total",
        "Credentials that left with an entry of their own, by kind"
    );
    describe_counter!(
        "tidegate_credential_deliveries_total",
        "Credentials that left from memory, on the entry of their issue"
    );
    describe_gauge!(
        "tidegate_credential_deliveries_unrecorded",
        "Deliveries that are counted in memory and in no entry of the audit log yet"
    );
    describe_counter!("tidegate_refusals_total", "Refused exchanges, by stable reason");
    describe_counter!("tidegate_faults_total", "Exchanges that we could not answer, by cause");
    describe_counter!("tidegate_http_requests_total", "Answers by route and status");
    describe_gauge!(
        "tidegate_clock_behind_seconds",
        Unit::Seconds,
        "How far the clock is behind what was seen before, beyond the bound: nothing is issued; 0 when it is fine"
    );
    describe_counter!("tidegate_clock_rollbacks_total", "How often the clock stepped back beyond the bound");
    describe_counter!("tidegate_elevations_total", "Changes of elevations, by event");
    describe_gauge!("tidegate_elevations_open", "Elevations that wait for something or are active");
    describe_gauge!("tidegate_elevations_active", "Elevations whose window is open");
    describe_counter!(
        "tidegate_elevation_refused_total",
        "What people who had signed in tried and did not get, by stable reason"
    );
    describe_counter!(
        "tidegate_sessions_end_failures_total",
        "Early ends of AWS sessions that AWS did not take; each is tried again"
    );
    describe_gauge!("tidegate_locks_active", "Locks in force");
    describe_gauge!(
        "tidegate_locks_unrecorded",
        "Locks in force that the audit log does not know yet: it cannot be written"
    );
    describe_gauge!("tidegate_audit_log_entries", "Durable entries in the audit log");
    describe_gauge!("tidegate_audit_queue_depth", "Entries that wait for their commit");
    describe_histogram!(
        "tidegate_audit_commit_seconds",
        Unit::Seconds,
        "Time of one commit of the audit log"
    );
    describe_histogram!("tidegate_audit_group_entries", "Entries that shared one commit");
    describe_counter!(
        "tidegate_audit_commit_failures_total",
        "Commits that failed: nothing was issued from them"
    );
    describe_counter!("tidegate_jwks_fetches_total", "Fetches of key sets by issuer and outcome");
    describe_histogram!(
        "tidegate_sts_packed_policy_percent",
        "Share of AWS's packed-size limit that was used"
    );
    describe_counter!("tidegate_connections_refused_total", "Connections over the cap");
    describe_gauge!("tidegate_checkpoint_age_seconds", Unit::Seconds, "Age of the newest entry in the log");
    describe_gauge!("tidegate_issuer_keys", "Known keys by trusted issuer");
    describe_gauge!("tidegate_issuer_keys_age_seconds", Unit::Seconds, "Age of an issuer's key set");
    describe_gauge!("tidegate_clock_seconds", Unit::Seconds, "The broker's wall clock");
    describe_counter!("tidegate_policy_reloads_total", "Policy reloads by outcome");
    describe_counter!(
        "tidegate_policy_shadow_evaluations_total",
        "Decisions made again by policies on trial"
    );
    describe_counter!(
        "tidegate_policy_shadow_differences_total",
        "Decisions that policies on trial would have made otherwise, by action and kind"
    );
    describe_counter!(
        "tidegate_policy_shadow_dropped_total",
        "Decisions that policies on trial were not asked about, because too many waited"
    );
    describe_counter!(
        "tidegate_policy_shadow_failures_total",
        "Decisions about which policies on trial could not be asked"
    );
    describe_counter!("tidegate_policy_shadow_reloads_total", "Loads of policies on trial, by outcome");
    describe_gauge!("tidegate_replica_heard_seconds", "Age of what is known of other replicas");
    describe_counter!("tidegate_replica_faults_total", "Times that other replicas could not be followed");
    describe_counter!("tidegate_sts_calls_total", "Calls to AWS STS by outcome");
    describe_counter!("tidegate_credential_cache_total", "AWS credential cache by outcome");
    describe_counter!(
        "tidegate_sts_throttles_total",
        "Calls to AWS STS that were limited, by our own budget or by STS"
    );
    describe_counter!(
        "tidegate_session_ends_total",
        "Calls to AWS IAM that end sessions early, by step and outcome"
    );
    describe_counter!("tidegate_notifications_total", "Notifications by outcome: arrived, failed, dropped");
    describe_gauge!("tidegate_notifications_waiting", "Notifications that wait in the outbox");
}
