//! Each lint, with a hit and a near miss.
