//! `POST auth/otp/verify`: signs in whoever knows the code, and makes the account at the first time.

use crate::app::App;
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::identity::account;
use crate::identity::proof::{self, Claim, OtpProof, Proven};
use crate::identity::session::{self, SignedIn};
use crate::identity::trail::Origin;
use crate::rate::ClientAddress;
use axum::extract::State;

/// Proves a one-time code and signs in; the first time it makes the account, with a name made up for it.
#[utoipa::path(post, path = "/auth/otp/verify", tag = "auth", request_body = OtpProof, responses((status = 200, body = SignedIn), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(super) async fn verify_otp(
    address: ClientAddress,
    origin: Origin,
    State(app): State<App>,
    Json(sent): Json<OtpProof>,
) -> Result<Json<SignedIn>> {
    let claim = sent.claim(&app)?;
    let guess = app.code_sends.begin_guess(address.limited(&app))?;
    let write = app.db.write(move |tx| {
        let (claim, origin) = (claim.clone(), origin.clone());
        Box::pin(async move { verify(tx, &claim, &origin).await })
    });
    let signed_in = write.await??;
    guess.was_right();
    Ok(Json(signed_in))
}

async fn verify(tx: &Tx, claim: &Claim, origin: &Origin) -> Result<Proven<SignedIn>> {
    let proof = match proof::prove(tx, claim).await? {
        Ok(proof) => proof,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (user, is_new_user) = match account::find(tx, &claim.identifier).await? {
        Some(user) => (user, false),
        None => (account::register(tx, &claim.identifier, Default::default(), origin).await?, true),
    };
    proof.consume(tx).await?;
    session::sign_in(tx, user, is_new_user, origin).await.map(Ok)
}
