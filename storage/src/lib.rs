//! chautari-storage
