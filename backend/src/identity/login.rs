//! `POST auth/login`: signs in somebody who has an account.

use crate::app::App;
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::identity::proof::{self, Claim, OtpProof, Proven};
use crate::identity::session::{self, SignedIn};
use crate::identity::trail::Origin;
use crate::identity::{Refusal, account};
use crate::rate::ClientAddress;
use axum::extract::State;

/// Signs in with a one-time code. That nobody has this number or address is told only to who proved it, and the
/// code then stays good for `auth/register`.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = OtpProof, responses((status = 200, body = SignedIn), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(super) async fn log_in(
    address: ClientAddress,
    origin: Origin,
    State(app): State<App>,
    Json(sent): Json<OtpProof>,
) -> Result<Json<SignedIn>> {
    let claim = sent.claim(&app)?;
    let guess = app.code_sends.begin_guess(address.limited(&app))?;
    let write = app.db.write(move |tx| {
        let (claim, origin) = (claim.clone(), origin.clone());
        Box::pin(async move { enter(tx, &claim, &origin).await })
    });
    let signed_in = write.await??;
    guess.was_right();
    Ok(Json(signed_in))
}

async fn enter(tx: &Tx, claim: &Claim, origin: &Origin) -> Result<Proven<SignedIn>> {
    let proof = match proof::prove(tx, claim).await? {
        Ok(proof) => proof,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let user = account::find(tx, &claim.identifier).await?.ok_or(Refusal::AccountUnknown)?;
    proof.consume(tx).await?;
    session::sign_in(tx, user, false, origin).await.map(Ok)
}
