//! The outside world, played: providers of payments and messages as real servers that keep a book of their own
//! and misbehave on request. For tests and development; the product never links this crate.
//!
//! A provider is a file here: its book (a struct), what its API does with it, and the pages that a
//! payer sees ([`Provider`]). [`Double`] starts it. What a test may do to every double stands on
//! [`Site`]; what it may do to one provider stands beside that provider's book.
//!
//! ```no_run
//! # use doubles::{Double, Misbehaviour, Provider, World};
//! # async fn story<P: Provider>(book: P, world: World) -> std::io::Result<()> {
//! let double = Double::start(book, world).await?;
//! println!("clients are pointed to {}", double.base_url());
//! double.misbehave(Misbehaviour::LosesAnswer, 1);
//! # Ok(())
//! # }
//! ```

pub mod aakash;
pub mod cloudinary;
pub mod esewa;
pub mod fcm;
pub mod khalti;
pub mod s3;
pub mod smtp;
pub mod sparrow;

pub mod double;
pub mod misbehaviour;
pub mod stripe;
pub mod world;

mod control;
mod page;

pub use double::{Double, Provider, Received, Site};
pub use misbehaviour::Misbehaviour;
pub use world::World;
