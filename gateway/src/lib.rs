//! chautari-gateway
