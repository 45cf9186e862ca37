//! Files of cases, and what becomes of them.
