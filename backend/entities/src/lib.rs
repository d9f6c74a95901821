//! chautari-entities
