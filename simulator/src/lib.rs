//! chautari-simulator
