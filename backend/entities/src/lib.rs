//! What Chautari remembers of people, stations, rentals and money: entities and migrations, nothing else.
//!
//! * [`diagram`] holds the 49 entities of the ER diagram, [`ours`] the tables that we added. Both are
//!   re-exported here, so `entities::user`, `entities::job` and so on are the names to use.
//! * [`id`] has one id type for each table, [`money`] the one type for money.
//! * [`migrate`] brings an empty or older database to this version; SQLite and PostgreSQL take the same schema.
//!
//! `README.md` beside this crate lists every deliberate difference from the diagram.

pub mod diagram;
pub mod ours;

pub mod id;
pub mod money;
mod text_enum;

pub mod migration;
#[cfg(feature = "testing")]
pub mod testing;

pub use diagram::*;
pub use id::*;
pub use migration::migrate;
pub use money::Paisa;
pub use ours::*;
pub use text_enum::UnknownWord;
