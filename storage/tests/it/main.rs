//! The checks of the telemetry store, in one binary.

mod model;
