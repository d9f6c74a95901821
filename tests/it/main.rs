//! End-to-end stories over real sockets, crash runs, and the rules of the house.

mod model;
mod tidy;
