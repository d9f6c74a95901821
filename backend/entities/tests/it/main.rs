//! The schema and the entities agree, on every database.

extern crate chautari_entities as entities;

mod agreement;
mod constraints;
mod diagram;
mod migrations;
mod rows;
mod words;
