//! The schema and the entities agree, on every database.

extern crate chautari_entities as entities;

mod migrations;
