//! Verification of a whole log from nothing but its files and its verifier key.
