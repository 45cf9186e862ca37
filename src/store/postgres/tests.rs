//! What only a server can suffer; the rest is in the conformance suite.
