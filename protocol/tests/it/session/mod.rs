//! Both ends of a session.

mod size;
