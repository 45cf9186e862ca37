//! The machine by examples; `properties` holds it against random histories.
