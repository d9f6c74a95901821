//! chautari-backend
