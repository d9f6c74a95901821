//! What a session costs.

use protocol::session::gateway::GatewaySession;

#[test]
fn a_gateway_session_needs_at_most_400_bytes() {
    let bytes = size_of::<GatewaySession>();
    assert!(bytes <= 400, "{bytes} bytes");
}
